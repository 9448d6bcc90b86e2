import { OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { Call } from "./route.ts";
import { type Route, route } from "./route.ts";
import { optionalText, snapshotBody } from "./snapshots.ts";
import type { ForkRequest, ForkResponse, RollbackRequest, RollbackResponse } from "./wire.ts";

/** Containers that go on from another's files, and containers that go back: Onggi's own paths. */
export const forkRoutes: readonly Route[] = [
  route("POST /onggi/v1/containers/:id/fork", (engine, call) => fork(engine, call.params.id, call)),

  /** Of a snapshot whose container may be gone. */
  route("POST /onggi/v1/fork", (engine, call) => fork(engine, undefined, call)),

  route("POST /onggi/v1/containers/:id/rollback", async (engine, call) => {
    const { snapshot, discard, timeoutSeconds } = await call.json<RollbackRequest>();
    if (timeoutSeconds !== undefined && typeof timeoutSeconds !== "number")
      throw new OnggiError("invalid", "invalid JSON: timeoutSeconds must be a number");
    const { before, restarted } = await engine.rollback(call.params.id, optionalText(snapshot, "snapshot") ?? "", {
      discard: discard === true,
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    });
    const body = before === undefined ? null : await snapshotBody(engine, before);
    return { json: { before: body, restarted } satisfies RollbackResponse };
  }),
];

async function fork(engine: EngineFace, container: string | undefined, call: Call) {
  const { count, names, env, from: text, start } = await call.json<ForkRequest>();
  for (const [field, list] of Object.entries({ names, env })) {
    if (list !== undefined && !(Array.isArray(list) && list.every((one) => typeof one === "string")))
      throw new OnggiError("invalid", `invalid JSON: ${field} must be a list of strings`);
  }
  const from = optionalText(text, "from");
  const forks = await engine.fork(container, {
    ...(count === undefined ? {} : { count }),
    ...(names === undefined ? {} : { names }),
    ...(from === undefined ? {} : { from }),
    ...(env === undefined ? {} : { env }),
    start: start !== false,
  });
  return { status: 201, json: { forks } satisfies ForkResponse };
}
