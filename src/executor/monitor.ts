import { OnggiError } from "../base/error.ts";
import type { ExitRecord } from "../program/op.ts";
import type { Connection } from "./connection.ts";
import { errnoName } from "./errno.ts";
import type { Monitor, OutputListener } from "./executor.ts";
import { decodeExit } from "./exit-record.ts";
import { type Frame, frameType } from "./frames.ts";
import type { StepFailure } from "./step-failure.ts";

/** How much output may be on its way to a listener that hasn't taken it yet. */
const outputWindowBytes = 1024 * 1024;
/** Credit is given back in pieces of this size at least. */
const creditPieceBytes = 128 * 1024;
const maxStdinPiece = 65536;

/** Who a monitor says it is: the payload of STARTED, and the beginning of that of HELLO. */
export interface Identity {
  readonly pid: number;
  readonly startTime: bigint;
}

export function decodeIdentity(payload: Buffer): Identity {
  return { pid: payload.readUInt32LE(0), startTime: payload.readBigUInt64LE(4) };
}

/** Makes the errors of TORN_DOWN's rows. */
export type TeardownFailures = (rows: readonly { index: number; errno: number }[]) => readonly StepFailure[];

export class ConnectedMonitor implements Monitor {
  readonly pid: number;
  readonly startTime: bigint;
  readonly exited: Promise<ExitRecord>;
  readonly tornDown: Promise<readonly StepFailure[]>;

  readonly #connection: Connection;
  readonly #teardownFailures: TeardownFailures;
  readonly #exit = Promise.withResolvers<ExitRecord>();
  readonly #teardown = Promise.withResolvers<readonly StepFailure[]>();
  readonly #input: StdinQueue;
  readonly #listeners = new Set<OutputListener>();
  readonly #oomListeners = new Set<(kills: number) => void>();
  readonly #logErrorListeners = new Set<(errno: string) => void>();
  readonly #endedStreams = new Set<1 | 2>();
  #subscribed: boolean;
  #creditGiven = false;
  #creditOwed = 0;
  #over = false;

  constructor(connection: Connection, identity: Identity, subscribed: boolean, teardownFailures: TeardownFailures) {
    this.#connection = connection;
    this.pid = identity.pid;
    this.startTime = identity.startTime;
    this.#subscribed = subscribed;
    this.#teardownFailures = teardownFailures;
    this.#input = new StdinQueue((piece) => connection.send(frameType.stdin, piece));
    this.exited = this.#exit.promise;
    this.tornDown = this.#teardown.promise;
    // Whoever doesn't wait for them isn't hurt by a monitor that dies.
    this.exited.catch(() => {});
    this.tornDown.catch(() => {});
  }

  writeStdin(data: Uint8Array): Promise<void> {
    const written = this.#over ? Promise.reject(gone(this.pid)) : this.#input.write(data);
    // Whoever doesn't wait for it learns of the monitor's end by `exited`.
    written.catch(() => {});
    return written;
  }

  closeStdin(): void {
    this.#input.end(() => this.#connection.send(frameType.stdinClose));
  }

  resize(rows: number, columns: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt16LE(rows, 0);
    payload.writeUInt16LE(columns, 2);
    this.#connection.send(frameType.resize, payload);
  }

  kill(signal: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32LE(signal, 0);
    this.#connection.send(frameType.signal, payload);
  }

  subscribe(listener: OutputListener): () => void {
    this.#listeners.add(listener);
    for (const stream of this.#endedStreams) listener.onEnd?.(stream);
    if (!this.#subscribed) {
      this.#subscribed = true;
      this.#connection.send(frameType.subscribe, undefined, 1);
    }
    if (!this.#creditGiven) {
      this.#creditGiven = true;
      this.#giveCredit(outputWindowBytes);
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#subscribed = false;
      this.#creditGiven = false;
      this.#creditOwed = 0;
      this.#connection.send(frameType.subscribe, undefined, 0);
    };
  }

  onOom(listener: (kills: number) => void): void {
    this.#oomListeners.add(listener);
  }

  onLogError(listener: (errno: string) => void): void {
    this.#logErrorListeners.add(listener);
  }

  disconnect(): void {
    this.#connection.close();
  }

  /** Takes a frame of the monitor's. */
  receive({ type, arg, payload }: Frame): void {
    switch (type) {
      case frameType.output:
        this.#deliver(arg === 2 ? 2 : 1, payload);
        break;
      case frameType.eof:
        this.#endStream(arg === 2 ? 2 : 1);
        break;
      case frameType.exited:
        this.#exit.resolve(decodeExit(payload));
        break;
      case frameType.tornDown:
        this.#teardown.resolve(this.#teardownFailures(decodeTornDown(payload)));
        // The monitor's last word; it stays until we have closed, so that nothing we send breaks what it says.
        this.#connection.close();
        break;
      case frameType.stdinCredit:
        this.#input.grant(payload.readUInt32LE(0));
        break;
      case frameType.oom:
        for (const listener of this.#oomListeners) listener(Number(payload.readBigUInt64LE(0)));
        break;
      case frameType.logError:
        this.#tellLogError(payload.readInt32LE(0));
        break;
    }
  }

  /** The connection is gone: what hasn't been told by now won't be. */
  lost(): void {
    this.#over = true;
    this.#exit.reject(gone(this.pid));
    this.#teardown.reject(gone(this.pid));
    this.#input.fail(gone(this.pid));
  }

  #deliver(stream: 1 | 2, data: Buffer): void {
    const waits: Promise<void>[] = [];
    for (const listener of this.#listeners) {
      const wait = listener.onData(stream, data);
      if (wait !== undefined) waits.push(wait);
    }
    // A listener that fails has taken the data all the same: the stream must not stand still.
    if (waits.length === 0) this.#owe(data.length);
    else void Promise.allSettled(waits).then(() => this.#owe(data.length));
  }

  /** 0: it can be written again. */
  #tellLogError(errno: number): void {
    if (errno === 0) return;
    for (const listener of this.#logErrorListeners) listener(errnoName(errno));
  }

  #endStream(stream: 1 | 2): void {
    if (this.#endedStreams.has(stream)) return;
    this.#endedStreams.add(stream);
    for (const listener of this.#listeners) listener.onEnd?.(stream);
  }

  #owe(bytes: number): void {
    if (!this.#subscribed) return;
    this.#creditOwed += bytes;
    if (this.#creditOwed < creditPieceBytes) return;
    this.#giveCredit(this.#creditOwed);
    this.#creditOwed = 0;
  }

  #giveCredit(bytes: number): void {
    const payload = Buffer.allocUnsafe(8);
    payload.writeBigUInt64LE(BigInt(bytes), 0);
    this.#connection.send(frameType.credit, payload);
  }
}

/** Stdin on its way: sent in pieces, as far as the monitor has granted. */
class StdinQueue {
  readonly #send: (piece: Uint8Array) => void;
  readonly #waiting: { data: Uint8Array; done: PromiseWithResolvers<void> }[] = [];
  #credit = 0;
  #end: (() => void) | undefined;
  #failure: OnggiError | undefined;

  constructor(send: (piece: Uint8Array) => void) {
    this.#send = send;
  }

  /** Resolves once all of it is sent, so that a caller who awaits holds no more than it must. */
  write(data: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#end !== undefined) return Promise.reject(new OnggiError("conflict", "stdin is closed already"));
    const done = Promise.withResolvers<void>();
    this.#waiting.push({ data, done });
    this.#flush();
    return done.promise;
  }

  end(close: () => void): void {
    this.#end ??= close;
    this.#flush();
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    this.#flush();
  }

  fail(error: OnggiError): void {
    this.#failure = error;
    for (const { done } of this.#waiting.splice(0)) done.reject(error);
  }

  #flush(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      while (first.data.length > 0 && this.#credit > 0) {
        const piece = first.data.subarray(0, Math.min(this.#credit, maxStdinPiece));
        this.#credit -= piece.length;
        first.data = first.data.subarray(piece.length);
        this.#send(piece);
      }
      if (first.data.length > 0) return;
      this.#waiting.shift();
      first.done.resolve();
    }
    const end = this.#end;
    if (end === undefined) return;
    this.#end = () => {};
    end();
  }
}

function decodeTornDown(payload: Buffer): { index: number; errno: number }[] {
  return Array.from({ length: payload.readUInt32LE(0) }, (_, i) => ({
    index: payload.readUInt32LE(4 + i * 8),
    errno: payload.readInt32LE(8 + i * 8),
  }));
}

function gone(pid: number): OnggiError {
  return new OnggiError("unavailable", `the monitor of process ${pid} is gone`, {
    hint: "It was killed, or let go of; the exit record says whether the process has ended.",
  });
}
