import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { route } from "./route.ts";
import { Router } from "./router.ts";
import { routes } from "./routes.ts";

const router = new Router([
  route("GET /containers/json", () => ({})),
  route("GET /containers/:id/json", () => ({})),
  route("GET /images/:name*/get", () => ({})),
  route("GET /images/:name*/json", () => ({})),
]);

function found(method: string, path: string): string | undefined {
  const match = router.find(method, path);
  return match === undefined ? undefined : `${match.route.pattern} ${JSON.stringify(match.params)}`;
}

describe("Router", () => {
  it("tells parts that are named from those that aren't", () => {
    assert.equal(found("GET", "/containers/json"), "/containers/json {}");
    assert.equal(found("GET", "/containers/web/json"), '/containers/:id/json {"id":"web"}');
  });

  it("takes slashes into an image's name, and decodes it", () => {
    assert.equal(
      found("GET", "/images/localhost:5000/a/b:1/json"),
      '/images/:name*/json {"name":"localhost:5000/a/b:1"}',
    );
    assert.equal(found("GET", "/images/a%2Fb/get"), '/images/:name*/get {"name":"a/b"}');
  });

  it("serves versions from the oldest to the newest, and none", () => {
    for (const version of ["", "/v1.24", "/v1.50", "/v1.51"]) assert.ok(found("GET", `${version}/containers/json`));
  });

  it("refuses other versions in Docker's words", () => {
    assert.throws(() => found("GET", "/v1.52/containers/json"), {
      code: "invalid",
      message: "client version 1.52 is too new. Maximum supported API version is 1.51",
    });
    assert.throws(
      () => found("GET", "/v1.9/containers/json"),
      /client version 1\.9 is too old\. Minimum supported API version is 1\.24/,
    );
  });

  it("knows nothing of other paths and methods", () => {
    assert.equal(found("PUT", "/containers/json"), undefined);
    assert.equal(found("GET", "/containers"), undefined);
    assert.equal(found("GET", "/containers/a/b/json"), undefined);
  });

  it("has no two routes of the same method and pattern", () => {
    const names = routes.map(({ method, pattern }) => `${method} ${pattern}`);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
  });
});
