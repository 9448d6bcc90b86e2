import type { WaitResponse } from "../api/wire.ts";
import { type Client, readAll } from "./client.ts";
import { containerPath } from "./engine-call.ts";

/** How a container ended: its exit status, and what the engine had to say of it. */
export interface Ending {
  readonly status: number;
  readonly error: string;
}

/** Resolves once the daemon is waiting too; `end` then resolves when the container has ended. */
export async function waitForEnd(
  client: Client,
  id: string,
  condition: "not-running" | "next-exit" | "removed",
): Promise<{ readonly end: Promise<Ending> }> {
  // The daemon sends the header at once and the body at the end.
  const answer = await client.open({ method: "POST", path: containerPath(id, "wait"), query: { condition } });
  const end = readAll(answer).then((body): Ending => {
    const ending = JSON.parse(body.toString()) as WaitResponse;
    return { status: ending.StatusCode, error: ending.Error?.Message ?? "" };
  });
  // Whoever detaches never asks.
  end.catch(() => {});
  return { end };
}
