import { OnggiError } from "../base/error.ts";
import type { BridgeNetwork } from "../network/network.ts";
import type { ContainerNames } from "./container-names.ts";
import type { NetworkInfo, NetworksFace } from "./engine.ts";

/** The three networks that are always there. */
export class Networks implements NetworksFace {
  readonly #bridge: BridgeNetwork;
  readonly #createdAtMs: number;
  readonly #containers: ContainerNames;

  constructor(parts: {
    readonly bridge: BridgeNetwork;
    readonly createdAtMs: number;
    readonly containers: ContainerNames;
  }) {
    this.#bridge = parts.bridge;
    this.#createdAtMs = parts.createdAtMs;
    this.#containers = parts.containers;
  }

  list(): readonly NetworkInfo[] {
    return [this.#bridgeInfo(), this.#plain("host", "host"), this.#plain("none", "null")];
  }

  get(key: string): NetworkInfo {
    const all = this.list();
    const found =
      all.find(({ id, name }) => id === key || name === key) ??
      all.find(({ id }) => key.length >= 4 && id.startsWith(key));
    if (found === undefined) {
      throw new OnggiError("not_found", `network ${key} not found`, { hint: "There are bridge, host and none." });
    }
    return found;
  }

  #bridgeInfo(): NetworkInfo {
    const bridge = this.#bridge;
    const containers = [...this.#containers.all].flatMap((container) => {
      const address = container.isRunning ? container.run?.launch.address : undefined;
      if (address === undefined) return [];
      const { name } = container.record;
      return [
        {
          id: container.id,
          name,
          endpointId: address.endpointId,
          mac: address.mac,
          address: `${address.address}/${address.prefixLength}`,
        },
      ];
    });
    return {
      id: bridge.id,
      name: bridge.name,
      driver: "bridge",
      subnet: bridge.subnet,
      gateway: bridge.gateway,
      bridge: bridge.bridge,
      createdAtMs: this.#createdAtMs,
      containers,
    };
  }

  #plain(name: "host" | "none", driver: "host" | "null"): NetworkInfo {
    const containers = [...this.#containers.all]
      .filter((container) => container.isRunning && container.record.config.network === name)
      .map((container) => ({
        id: container.id,
        name: container.record.name,
        endpointId: container.id,
        mac: "",
        address: "",
      }));
    const id = Buffer.from(name).toString("hex").padEnd(64, "0");
    return { id, name, driver, subnet: "", gateway: "", bridge: "", createdAtMs: this.#createdAtMs, containers };
  }
}
