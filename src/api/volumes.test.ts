import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeEngine } from "./testing/fake-engine.ts";
import { serveFake } from "./testing/serve.ts";
import type {
  DiskUsage,
  ErrorBody,
  VolumeBody,
  VolumeSnapshotBody,
  VolumesList,
  VolumesPruneResponse,
} from "./wire.ts";

async function withVolumes(
  ...requests: readonly Parameters<FakeEngine["volumes"]["create"]>[0][]
): Promise<FakeEngine> {
  const engine = new FakeEngine();
  for (const request of requests) await engine.volumes.create(request);
  return engine;
}

/** As if a container had it. */
function use(engine: FakeEngine, name: string): void {
  engine.volumes.all.set(name, { ...engine.volumes.get(name), users: ["c".repeat(64)] });
}

describe("volumes", () => {
  it("are made, inspected and removed in Docker's shape", async () => {
    await using api = await serveFake();
    const made = await api.call("POST /volumes/create", {
      Name: "data",
      Driver: "local",
      DriverOpts: { size: "1G" },
      Labels: { a: "b" },
    });
    assert.equal(made.status, 201);
    const expected: VolumeBody = {
      CreatedAt: "2024-01-02T03:04:05Z",
      Driver: "local",
      Labels: { a: "b" },
      Mountpoint: "/var/lib/onggi/volumes/data/data",
      Name: "data",
      Options: { size: "1G" },
      Scope: "local",
    };
    assert.deepEqual(made.json<VolumeBody>(), expected);
    assert.deepEqual((await api.call("GET /volumes/data")).json<VolumeBody>(), expected);
    assert.equal((await api.call("DELETE /volumes/data")).status, 204);
    const gone = await api.call("GET /volumes/data");
    assert.deepEqual([gone.status, gone.json<ErrorBody>().message], [404, "get data: no such volume"]);
    assert.equal((await api.call("DELETE /volumes/data")).status, 404);
    assert.equal((await api.call("DELETE /volumes/data?force=1")).status, 204);
  });

  it("get a name where none is given, and the label of anonymous ones", async () => {
    await using api = await serveFake();
    const { Name, Labels, Options } = (await api.call("POST /volumes/create", {})).json<VolumeBody>();
    assert.match(Name, /^[0-9a-f]{64}$/);
    assert.deepEqual([Labels, Options], [{ "com.docker.volume.anonymous": "" }, null]);
  });

  it("have no other driver", async () => {
    await using api = await serveFake();
    const { status, text } = await api.call("POST /volumes/create", { Driver: "nfs" });
    assert.equal(status, 501);
    assert.match(text, /plugin \\"nfs\\" not found/);
  });

  it("aren't removed while a container has them", async () => {
    const engine = await withVolumes({ name: "data" });
    use(engine, "data");
    await using api = await serveFake(engine);
    const { status, text } = await api.call("DELETE /volumes/data?force=1");
    assert.equal(status, 409);
    assert.match(text, /remove data: volume is in use - \[c{64}\]/);
  });

  it("are filtered by name, label, driver and whether a container has them", async () => {
    const engine = await withVolumes({ name: "one", labels: { a: "b" } }, { name: "two" });
    use(engine, "two");
    await using api = await serveFake(engine);
    const names = async (filters: object) =>
      (await api.call(`GET /volumes?filters=${encodeURIComponent(JSON.stringify(filters))}`))
        .json<VolumesList>()
        .Volumes.map(({ Name }) => Name);
    assert.deepEqual(await names({}), ["one", "two"]);
    assert.deepEqual(await names({ name: ["on"] }), ["one"]);
    assert.deepEqual(await names({ label: ["a=b"] }), ["one"]);
    assert.deepEqual(await names({ "label!": ["a"] }), ["two"]);
    assert.deepEqual(await names({ driver: ["nfs"] }), []);
    assert.deepEqual(await names({ dangling: ["true"] }), ["one"]);
    assert.deepEqual(await names({ dangling: ["false"] }), ["two"]);
  });

  it("are pruned: anonymous ones, or all", async () => {
    const engine = await withVolumes({ name: "named" }, { name: "kept", labels: { keep: "" } }, {});
    await using api = await serveFake(engine);
    const prune = async (filters: object) =>
      (
        await api.call(`POST /volumes/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`)
      ).json<VolumesPruneResponse>();
    const { VolumesDeleted, SpaceReclaimed } = await prune({});
    assert.deepEqual([VolumesDeleted?.length, SpaceReclaimed], [1, 4096]);
    assert.deepEqual(await prune({}), { VolumesDeleted: null, SpaceReclaimed: 0 });
    assert.deepEqual((await prune({ all: ["true"], "label!": ["keep"] })).VolumesDeleted, ["named"]);
    assert.deepEqual([...engine.volumes.all.keys()], ["kept"]);
  });

  it("count in the use of the disk", async () => {
    const engine = await withVolumes({ name: "data" });
    use(engine, "data");
    await using api = await serveFake(engine);
    const { Volumes } = (await api.call("GET /system/df?type=volume")).json<DiskUsage>();
    assert.deepEqual(
      Volumes.map(({ Name, UsageData }) => [Name, UsageData]),
      [["data", { RefCount: 1, Size: 4096 }]],
    );
  });

  it("have snapshots, which can be put back, cloned and removed", async () => {
    await using api = await serveFake(await withVolumes({ name: "data" }));
    const path = "/onggi/v1/volumes/data";
    const made = await api.call(`POST ${path}/snapshots`, { Name: "first" });
    const body = { Volume: "data", Name: "first", CreatedAt: "2024-01-02T03:04:05Z" };
    assert.deepEqual([made.status, made.json<VolumeSnapshotBody>()], [201, body]);
    assert.deepEqual((await api.call(`GET ${path}/snapshots`)).json<VolumeSnapshotBody[]>(), [body]);
    assert.equal((await api.call(`POST ${path}/snapshots/first/rollback`)).status, 204);
    const clone = await api.call(`POST ${path}/clone`, { Name: "copy", From: "first" });
    assert.deepEqual([clone.status, clone.json<VolumeBody>().Name], [201, "copy"]);
    assert.equal((await api.call(`DELETE ${path}/snapshots/first`)).status, 204);
    assert.deepEqual((await api.call(`GET ${path}/snapshots`)).json<VolumeSnapshotBody[]>(), []);
  });
});
