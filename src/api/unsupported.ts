import { OnggiError } from "../base/error.ts";
import { type Route, route } from "./route.ts";

/** What Docker's API has and Onggi hasn't: by name, so that a client learns what is missing rather than that a page is. */
export const unsupportedRoutes: readonly Route[] = [
  missing("building images", "POST /build", "POST /build/prune", "POST /session", "POST /grpc"),
  missing("changing a container's limits", "POST /containers/:id/update"),
  missing("attaching by websocket", "GET /containers/:id/attach/ws"),
  missing("searching registries", "GET /images/search", "GET /distribution/:name*/json"),
  missing(
    "making networks",
    "POST /networks/create",
    "POST /networks/:id/connect",
    "POST /networks/:id/disconnect",
    "DELETE /networks/:id",
    "POST /networks/prune",
  ),
  missing(
    "swarm mode",
    "POST /swarm/init",
    "POST /swarm/join",
    "GET /swarm",
    "GET /nodes",
    "GET /services",
    "GET /tasks",
    "GET /secrets",
    "GET /configs",
    "PUT /volumes/:name",
  ),
  missing("plugins", "GET /plugins"),
].flat();

function missing(what: string, ...patterns: readonly string[]): Route[] {
  return patterns.map((pattern) =>
    route(pattern, () => {
      throw new OnggiError("unsupported", `${what} is not supported yet by Onggi`);
    }),
  );
}
