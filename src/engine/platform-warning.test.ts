import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { platformWarnings } from "./platform-warning.ts";

const amd64 = { os: "linux", architecture: "amd64" };

describe("platformWarnings", () => {
  it("names both platforms where they differ", () => {
    const [warning = ""] = platformWarnings({ os: "linux", architecture: "arm64", variant: "v8" }, amd64);

    assert.match(warning, /platform \(linux\/arm64\/v8\) does not match .* \(linux\/amd64\)/);
  });

  it("says nothing where they are the same, or where an older record doesn't know", () => {
    assert.deepEqual(platformWarnings(amd64, amd64), []);
    assert.deepEqual(platformWarnings(undefined, amd64), []);
  });
});
