import { OnggiError } from "../base/error.ts";
import { type StorageBenchOptions, type StorageMeasure, storageMeasures } from "../engine/storage-bench.ts";
import { type Route, route } from "./route.ts";
import type { StorageBenchRequest, StorageMeasureBody } from "./wire.ts";

/** What storage drivers cost on this host. */
export const storageBenchRoutes: readonly Route[] = [
  route("POST /onggi/v1/storage/bench", async (engine, call) => {
    const options = optionsOf(await call.json<StorageBenchRequest>());
    return {
      contentType: "application/json",
      headerFirst: true,
      stream: lines(engine.storage.bench({ ...options, signal: call.signal })),
    };
  }),
];

function optionsOf({ Drivers, LargeBytes }: Partial<StorageBenchRequest>): StorageBenchOptions {
  const isList = Array.isArray(Drivers) && Drivers.every((one) => typeof one === "string");
  if (Drivers !== undefined && !isList) throw new OnggiError("invalid", "Drivers must be a list of names");
  if (LargeBytes !== undefined && !(Number.isSafeInteger(LargeBytes) && LargeBytes >= 2 ** 20))
    throw new OnggiError("invalid", "LargeBytes must be a whole number of at least 1 MiB");
  return {
    ...(Drivers === undefined || Drivers.length === 0 ? {} : { drivers: Drivers }),
    ...(LargeBytes === undefined ? {} : { largeBytes: LargeBytes }),
  };
}

async function* lines(measures: AsyncIterable<StorageMeasure>): AsyncGenerator<string> {
  for await (const { driver, measure, layers, value, unit, reason } of measures) {
    const body: StorageMeasureBody = {
      Driver: driver,
      Measure: measure,
      Title: storageMeasures[measure],
      Layers: layers,
      Value: value ?? null,
      Unit: unit,
      ...(reason === undefined ? {} : { Reason: reason }),
    };
    yield `${JSON.stringify(body)}\n`;
  }
}
