import type { Readable, Writable } from "node:stream";

/** A terminal or a stream that takes text. */
export interface Output extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Where input comes from; a terminal can be set raw. */
export interface Input extends Readable {
  readonly isTTY?: boolean;
  /** Of a terminal of the kernel. */
  readonly fd?: number;
  setRawMode?(raw: boolean): unknown;
}

/** The process's edges; a test brings its own. The streams are opened when first used, since that takes time. */
export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Writes and waits while the reader is slow. */
export async function write(output: Output, data: string | Uint8Array): Promise<void> {
  if (output.write(data) || output.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      output.off("drain", done).off("close", done).off("error", done);
      resolve();
    };
    output.on("drain", done).on("close", done).on("error", done);
  });
}
