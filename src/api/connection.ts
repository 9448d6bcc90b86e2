import type { Duplex, Readable, Writable } from "node:stream";

/** A connection that was taken over from HTTP. */
export interface Connection {
  /** What the client sends; ends at its half-close. */
  readonly input: Readable;
  readonly output: Writable;
  /** Runs when the client is gone altogether. */
  onClose(listener: () => void): void;
  /** Ends the output, lets the client read it to its end, and closes. */
  end(): void;
}

/** How long a client may take to close its side after it was sent all of the output. */
const lingerMs = 5000;

/** How often a client that sends no more is asked whether it is still there. */
const probeMs = 1000;

/** A socket after `101 UPGRADED`: raw in both directions. */
export function upgradedConnection(socket: Duplex): Connection {
  socket.once("end", () => noticeClose(socket));
  return {
    input: socket,
    output: socket,
    onClose: (listener) => void socket.once("close", listener),
    end: () => endGently(socket),
  };
}

/** A request without `Upgrade`: stdin is its body where it streams one, stdout its answer, unframed until the connection closes. */
export function plainConnection(input: Readable, output: Writable): Connection {
  return {
    input,
    output,
    onClose: (listener) => void output.once("close", listener),
    end: () => void output.end(),
  };
}

/** Resolves when there is room again; false when the client is gone. */
export function drained(output: Writable): Promise<boolean> {
  if (output.destroyed) return Promise.resolve(false);
  if (!output.writableNeedDrain) return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = (isThere: boolean) => () => {
      output.off("drain", onDrain).off("close", onClose);
      resolve(isThere);
    };
    const onDrain = settle(true);
    const onClose = settle(false);
    output.on("drain", onDrain).on("close", onClose);
  });
}

/**
 * Ends the output, and closes when the client has read it all.
 *
 * Closing a unix socket with unread input resets it, and the client loses output that it hasn't read yet: so the input is read
 * and dropped until the client has closed its side.
 */
export function endGently(socket: Duplex): void {
  if (socket.destroyed) return;
  socket.end(() => {
    if (socket.readableEnded) {
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
    socket.once("end", () => socket.destroy());
  });
  socket.resume();
}

/**
 * A client that closes altogether looks at first like one that only sends no more, and nothing is told when it closes later. The kernel
 * tells who writes: of nothing, too.
 * @see unix(7), EPIPE
 */
function noticeClose(socket: Duplex): void {
  const probe = () => {
    if (socket.writable) socket.write(new Uint8Array());
  };
  probe();
  const timer = setInterval(probe, probeMs);
  timer.unref();
  socket.once("close", () => clearInterval(timer));
}
