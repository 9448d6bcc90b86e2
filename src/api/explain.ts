import { parseCreateRequest } from "./container-create.ts";
import { type Route, route } from "./route.ts";
import type { CreateRequest } from "./wire.ts";

/** A container as the shell script that makes the same: of one there is, or of a create request of which nothing is made. */
export const explainRoutes: readonly Route[] = [
  route("GET /onggi/v1/containers/:id/explain", async (engine, { params }) => ({
    text: await engine.containers.explain(params.id),
  })),

  route("POST /onggi/v1/explain", async (engine, call) => {
    const config = parseCreateRequest(await call.json<CreateRequest>(), call.query.text("name"), engine.networks);
    return { text: await engine.containers.explain(config) };
  }),
];
