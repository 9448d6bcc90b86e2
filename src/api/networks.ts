import type { NetworkInfo } from "../engine/engine.ts";
import { Filters } from "./filters.ts";
import { type Route, route } from "./route.ts";
import { formatTime } from "./time.ts";
import type { NetworkBody, NetworkEndpoint } from "./wire.ts";

const knownFilters = "dangling driver id label name scope type".split(" ");

export const networkRoutes: readonly Route[] = [
  route("GET /networks", (engine, { query }) => {
    const filters = Filters.parse(query.text("filters"), knownFilters);
    const accept = (network: NetworkInfo) =>
      filters.any("driver", (driver) => driver === network.driver) &&
      filters.matches("id", network.id) &&
      filters.matches("name", network.name) &&
      filters.matchesLabels({}) &&
      filters.any("scope", (scope) => scope === "local") &&
      filters.any("type", (type) => type === "builtin") &&
      filters.flag("dangling") !== true;
    // As in Docker, the list doesn't tell who is on a network.
    return {
      json: engine.networks
        .list()
        .filter(accept)
        .map((network) => ({ ...networkBody(network), Containers: {} })),
    };
  }),

  route("GET /networks/:id", (engine, { params }) => ({ json: networkBody(engine.networks.get(params.id)) })),
];

function networkBody(network: NetworkInfo): NetworkBody {
  const { driver, subnet, gateway, bridge } = network;
  return {
    Name: network.name,
    Id: network.id,
    Created: formatTime(network.createdAtMs),
    Scope: "local",
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: subnet === "" ? [] : [{ Subnet: subnet, Gateway: gateway }] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(network.containers.map((container) => [container.id, endpoint(container)])),
    Options:
      bridge === ""
        ? {}
        : { "com.docker.network.bridge.name": bridge, "com.docker.network.bridge.default_bridge": "true" },
    Labels: {},
  };
}

function endpoint({ name, endpointId, mac, address }: NetworkInfo["containers"][number]): NetworkEndpoint {
  return { Name: name, EndpointID: endpointId, MacAddress: mac, IPv4Address: address, IPv6Address: "" };
}
