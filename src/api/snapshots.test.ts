import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import { forkRoutes } from "./fork.ts";
import { Query } from "./query.ts";
import type { Call } from "./route.ts";
import { Router } from "./router.ts";
import { snapshotRoutes } from "./snapshots.ts";
import { FakeEngine } from "./testing/fake-engine.ts";

const router = new Router([...snapshotRoutes, ...forkRoutes]);

async function ask(engine: EngineFace, method: string, target: string, body: object = {}) {
  const [path = "", query = ""] = target.split("?");
  const match = router.find(method, path);
  assert.ok(match !== undefined, `${method} ${path} has a route`);
  const call = { params: match.params, query: new Query(query), json: async () => body } as Partial<Call> as Call;
  return (await match.route.handle(engine, call)) as { readonly status?: number; readonly json?: unknown };
}

describe("the paths of snapshots", () => {
  it("make one, list it, show it by its reference, and remove it", async () => {
    const engine = new FakeEngine();
    const made = await ask(engine, "POST", "/onggi/v1/containers/web/snapshots", {
      name: "one",
      keep: 3,
      keepForMs: 9,
    });
    assert.equal(made.status, 201);
    assert.deepEqual(engine.snapshots.asked, { name: "one", keep: 3, keepForMs: 9 });
    await ask(engine, "POST", "/onggi/v1/containers/db/snapshots");

    const list = (query: string) => ask(engine, "GET", `/onggi/v1/snapshots?${query}`);
    const references = async (query: string) =>
      ((await list(query)).json as { reference: string }[]).map(({ reference }) => reference);
    assert.deepEqual(await references(""), ["web@one", "db@20260102-132337"]);
    assert.deepEqual(await references("container=db"), ["db@20260102-132337"]);
    assert.deepEqual(await references(`filters=${encodeURIComponent('{"name":{"one":true}}')}`), ["web@one"]);

    const { json } = await ask(engine, "GET", "/onggi/v1/snapshots/web@one");
    const { createdAtMs: _, ...same } = engine.snapshots.get("web@one");
    assert.deepEqual(json, {
      ...same,
      created: "2026-01-02T13:23:37Z",
      sizeBytes: 4096,
    });
    assert.equal((await ask(engine, "DELETE", "/onggi/v1/snapshots/web@one")).status, 204);
    assert.equal(engine.snapshots.all.length, 1);
  });

  it("fork a container, and one that is gone", async () => {
    const engine = new FakeEngine();
    for (const path of ["/onggi/v1/containers/web/fork", "/onggi/v1/fork"]) {
      const { status, json } = await ask(engine, "POST", path, { names: ["a", "b"], from: "web@one" });
      assert.equal(status, 201);
      assert.deepEqual(
        (json as { forks: { name: string }[] }).forks.map(({ name }) => name),
        ["a", "b"],
      );
    }
  });

  it("refuse what isn't of the kind it should be", async () => {
    const engine = new FakeEngine();
    for (const [path, body] of [
      ["containers/web/snapshots", { name: 5 }],
      ["containers/web/fork", { names: "a" }],
      ["containers/web/fork", { names: [1] }],
      ["fork", { from: {} }],
      ["containers/web/rollback", { snapshot: [] }],
      ["containers/web/rollback", { snapshot: "web@one", timeoutSeconds: "1" }],
    ] as const)
      await assert.rejects(
        ask(engine, "POST", `/onggi/v1/${path}`, body),
        (error) => isOnggiError(error, "invalid"),
        JSON.stringify(body),
      );
  });

  it("roll back, and say what is kept", async () => {
    const engine = new FakeEngine();
    await engine.snapshots.create("web", { name: "one" });
    const { json } = await ask(engine, "POST", "/onggi/v1/containers/web/rollback", { snapshot: "web@one" });
    assert.equal((json as { before: { reference: string } }).before.reference, "web@one");
  });
});
