import { type Route, route } from "./route.ts";
import type { StorageInitRequest, StorageInitResponse } from "./wire.ts";

export const storageInitRoutes: readonly Route[] = [
  route("POST /onggi/v1/storage/init", async (engine, call) => {
    const { Driver = "", File = "", SizeBytes = 0, Name } = await call.json<Partial<StorageInitRequest>>();
    const request = { driver: Driver, file: File, bytes: SizeBytes, ...(Name ? { name: Name } : {}) };
    const { driver, pool, file } = await engine.initStorage(request);
    return { status: 201, json: { Driver: driver, Pool: pool, File: file } satisfies StorageInitResponse };
  }),
];
