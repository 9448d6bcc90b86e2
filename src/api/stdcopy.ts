import type { Writable } from "node:stream";
import type { OutputChunk } from "../engine/model.ts";
import { drained } from "./connection.ts";

/** Output with a header before each piece: which stream, and how long. */
export const multiplexedType = "application/vnd.docker.multiplexed-stream";
/** Output as it is: of a terminal, or of a client that expects it. */
export const rawType = "application/vnd.docker.raw-stream";

const headerLength = 8;

/** One frame's header: stream (1 stdout, 2 stderr), three zeros, length in four bytes, big-endian. */
export function frameHeader({ stream, data }: OutputChunk): Buffer {
  const header = Buffer.alloc(headerLength);
  header[0] = stream === "stderr" ? 2 : 1;
  header.writeUInt32BE(data.length, 4);
  return header;
}

/** Below this, header and data are copied together: one write is cheaper than two. */
const smallBytes = 16 * 1024;

/** Output as pieces to send: each chunk behind its header, or as it is. */
export async function* outputPieces(
  chunks: AsyncIterable<OutputChunk>,
  options: { readonly framed: boolean },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (chunk.data.length === 0) continue;
    if (!options.framed) {
      yield chunk.data;
    } else if (chunk.data.length <= smallBytes) {
      yield Buffer.concat([frameHeader(chunk), chunk.data]);
    } else {
      yield frameHeader(chunk);
      yield chunk.data;
    }
  }
}

/**
 * Sends pieces to a client as fast as it reads, and no faster. Ends with the pieces, or when the client is gone.
 *
 * What comes within one turn of the event loop goes out in one system call.
 */
export async function sendPieces(output: Writable, pieces: AsyncIterable<Uint8Array | string>): Promise<void> {
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    output.uncork();
  };
  for await (const piece of pieces) {
    if (output.destroyed) return;
    if (!isCorked) {
      isCorked = true;
      output.cork();
      setImmediate(uncork);
    }
    if (!output.write(piece) && !(await drained(output))) return;
  }
}
