import type { Client } from "./client.ts";
import { containerPath } from "./engine-call.ts";
import type { Io } from "./io.ts";
import { runSession } from "./session.ts";
import { proxySignals } from "./signals.ts";
import { watchSize } from "./terminal.ts";
import { waitForEnd } from "./wait-for-end.ts";

export interface AttachOptions {
  readonly id: string;
  readonly tty: boolean;
  readonly streams: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly sigProxy: boolean;
  readonly detachKeys: string;
  /** What counts as its end. */
  readonly condition: "not-running" | "next-exit" | "removed";
  /** Done once attached and waiting, so that nothing is missed of even the shortest run: starts it. */
  readonly attached?: () => Promise<void>;
}

/** Attaches to a container until it ends or the user detaches; resolves with its exit status. */
export async function attachContainer(client: Client, io: Io, options: AttachOptions): Promise<number | "detached"> {
  const { id, tty, streams, detachKeys } = options;
  const signals = options.sigProxy ? proxyTo(client, id) : undefined;
  let unwatch = () => {};
  try {
    const [hijacked, ending] = await Promise.all([
      client.hijack({
        method: "POST",
        path: containerPath(id, "attach"),
        query: { stream: true, ...streams, detachKeys },
      }),
      waitForEnd(client, id, options.condition),
    ]);
    const session = runSession({ hijacked, io, tty, stdin: streams.stdin, detachKeys });
    // Its failure is told where it is awaited; until then it must not count as unhandled.
    session.catch(() => {});
    await options.attached?.();
    signals?.open();
    if (tty) unwatch = watchSize(io.stdout, (rows, columns) => void resize(client, id, rows, columns));
    if ((await session) === "detached") return "detached";
    const { status, error } = await ending.end;
    if (error !== "") io.stderr.write(`onggi: ${error}\n`);
    return status;
  } finally {
    unwatch();
    signals?.close();
  }
}

function proxyTo(client: Client, id: string) {
  return proxySignals(
    (signal) => client.status({ method: "POST", path: containerPath(id, "kill"), query: { signal } }).then(() => {}),
    () => process.exit(1),
  );
}

async function resize(client: Client, id: string, rows: number, columns: number): Promise<void> {
  try {
    await client.status({ method: "POST", path: containerPath(id, "resize"), query: { h: rows, w: columns } });
  } catch {
    // It may have ended by now: the size no longer matters.
  }
}
