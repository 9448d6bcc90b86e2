import { closeSync, constants, openSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { type Frame, FrameReader, frameHeader } from "./frames.ts";

/** What sun_path of sockaddr_un holds, less the NUL. */
const maxAddressBytes = 107;
/** O_PATH, which Node has no name for. */
const openPath = 0o10000000;

/** A connection to a process of the executor. Events begin once `listen` was called; frames before that are not read. */
export class Connection {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // Whatever breaks it, "close" follows; an error that nobody listens for would end the whole process.
    socket.on("error", () => {});
  }

  /** Rejects with Node's own error (ENOENT, ECONNREFUSED …) when nobody listens there. */
  static async open(path: string): Promise<Connection> {
    const address = addressOf(path);
    try {
      const socket = connectSocket({ path: address.path });
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
      });
      socket.removeAllListeners();
      return new Connection(socket);
    } finally {
      address.release();
    }
  }

  /** Keeps it for later: it doesn't hold the process, and its loss is noticed by {@link isOpen}. */
  park(): void {
    this.#socket.unref().resume();
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** `onClose` is called once, when the other side is gone, it sent nonsense, or `close` was called. */
  listen(onFrame: (frame: Frame) => void, onClose: () => void): void {
    const reader = new FrameReader(onFrame);
    this.#socket.ref();
    this.#socket.on("data", (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#socket.destroy();
      }
    });
    this.#socket.once("close", onClose);
    if (this.#socket.destroyed) queueMicrotask(onClose);
  }

  send(type: number, payload?: Uint8Array, arg = 0): void {
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    this.#socket.write(frameHeader(type, payload?.length ?? 0, arg));
    if (payload !== undefined && payload.length > 0) this.#socket.write(payload);
    this.#socket.uncork();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A path that is too long for a socket's address is reached through its folder's descriptor. */
function addressOf(path: string): { path: string; release(): void } {
  if (Buffer.byteLength(path) <= maxAddressBytes) return { path, release() {} };
  const directory = openSync(dirname(path), constants.O_DIRECTORY | openPath);
  return { path: `/proc/self/fd/${directory}/${basename(path)}`, release: () => closeSync(directory) };
}
