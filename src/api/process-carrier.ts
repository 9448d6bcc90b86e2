import { DetachScanner } from "../base/detach-keys.ts";
import type { ProcessStreams } from "../engine/model.ts";
import type { Connection } from "./connection.ts";
import { outputPieces, sendPieces } from "./stdcopy.ts";

export interface CarrierOptions {
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly detachKeys: readonly number[];
}

/** Carries a process's streams over a connection, until the output ends or the client goes; the process goes on. */
export async function carryProcess(
  connection: Connection,
  streams: ProcessStreams,
  options: CarrierOptions,
): Promise<void> {
  connection.onClose(() => streams.detach());
  if (options.stdin) void carryInput(connection, streams, options);
  // Half-closed or not: what such a client sends is dropped, but read, so that its end is noticed.
  else connection.input.resume();
  try {
    await sendPieces(connection.output, outputPieces(streams.output, { framed: !options.terminal }));
  } finally {
    connection.end();
  }
}

async function carryInput(
  connection: Connection,
  streams: ProcessStreams,
  { terminal, detachKeys }: CarrierOptions,
): Promise<void> {
  const gate = terminal ? new DetachScanner(detachKeys) : undefined;
  try {
    for await (const chunk of connection.input.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const { pass, detached } = gate?.scan(chunk) ?? { pass: chunk, detached: false };
      if (pass.length > 0) await streams.writeStdin(pass);
      if (detached) {
        streams.detach();
        return;
      }
    }
    streams.closeStdin();
  } catch {
    // The client broke off, which its close tells; or the process takes no more, which its end will tell.
    connection.input.resume();
  }
}
