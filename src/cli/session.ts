import type { Socket } from "node:net";
import { DetachScanner, parseDetachKeys } from "../base/detach-keys.ts";
import { OnggiError } from "../base/error.ts";
import type { Hijacked } from "./client.ts";
import { Exit } from "./exit.ts";
import { type Input, type Io, write } from "./io.ts";
import { Demultiplexer } from "./stdcopy.ts";
import { makeRaw } from "./terminal.ts";

export interface SessionOptions {
  readonly hijacked: Hijacked;
  readonly io: Io;
  /** A terminal's output is one raw stream; otherwise stdout and stderr come in frames. */
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly detachKeys: string;
}

export type SessionEnd = "ended" | "detached";

/** Carries a container's three streams between its connection and this process, until one side ends it. */
export async function runSession({ hijacked, io, tty, stdin, detachKeys }: SessionOptions): Promise<SessionEnd> {
  const { socket, head } = hijacked;
  // Its end is told by the output; an error while writing means that the container is gone.
  socket.on("error", () => {});
  const output = carryOutput(socket, head, io, tty).then((): SessionEnd => "ended");
  if (!stdin) return await output;

  const restore = tty ? makeRaw(io.stdin) : () => {};
  try {
    return await Promise.race([output, carryInput(io.stdin, socket, tty ? detachKeys : "")]);
  } finally {
    restore();
    io.stdin.pause();
  }
}

/** Checks before anything is made that a terminal is there where one is asked for. */
export function requireTerminal(io: Io, stdin: boolean, tty: boolean): void {
  if (tty && stdin && io.stdin.isTTY !== true) {
    throw new Exit(1, "the input device is not a TTY\nLeave out -t, or run this in a terminal.");
  }
}

async function carryOutput(socket: Socket, head: Buffer, io: Io, tty: boolean): Promise<void> {
  const take = tty ? (chunk: Buffer) => write(io.stdout, chunk) : demultiplexed(io);
  try {
    if (head.length > 0) await take(head);
    for await (const chunk of socket) await take(chunk);
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    // The connection broke: the daemon went away. What the container's end was, the wait tells.
  }
}

function demultiplexed(io: Io) {
  // Looked up when first written to, so that a stream that stays silent is never opened.
  const demultiplexer = new Demultiplexer(
    () => io.stdout,
    () => io.stderr,
  );
  return async (chunk: Buffer) => {
    await demultiplexer.push(chunk);
    if (demultiplexer.error !== "")
      throw new OnggiError("unavailable", `the daemon reports: ${demultiplexer.error.trim()}`);
  };
}

/** Resolves when the detach keys were pressed; after the end of input it waits for ever, and the output decides. */
async function carryInput(input: Input, socket: Socket, detachKeys: string): Promise<SessionEnd> {
  const scanner = new DetachScanner(parseDetachKeys(detachKeys));
  for await (const chunk of input) {
    const { pass, detached } = scanner.scan(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    if (socket.destroyed) break;
    if (pass.length > 0) await write(socket, pass);
    if (detached) {
      socket.destroy();
      return "detached";
    }
  }
  socket.end();
  return await new Promise<never>(() => {});
}
