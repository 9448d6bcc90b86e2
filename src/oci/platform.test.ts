import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatPlatform, isPlatformMatch, parsePlatform, platformOf } from "./platform.ts";

const host = platformOf("x64");

describe("parsePlatform", () => {
  it("takes what Docker takes, and other names of processors", () => {
    const shown = (text: string) => formatPlatform(parsePlatform(text, host));
    assert.equal(shown("linux/arm64/v8"), "linux/arm64/v8");
    assert.equal(shown("linux/x86_64"), "linux/amd64");
    assert.equal(shown("aarch64"), "linux/arm64");
    assert.equal(shown("linux"), "linux/amd64");
    for (const wrong of ["", "a/b/c/d", "linux/", "linux/ö"])
      assert.throws(() => parsePlatform(wrong, host), { code: "invalid" });
  });
});

describe("isPlatformMatch", () => {
  it("takes an unnamed variant for the usual one", () => {
    const arm = { os: "linux", architecture: "arm64" };
    assert.ok(isPlatformMatch({ ...arm, variant: "v8" }, arm));
    assert.ok(isPlatformMatch(arm, { ...arm, variant: "v8" }));
    assert.ok(
      !isPlatformMatch({ ...arm, architecture: "arm", variant: "v6" }, { ...arm, architecture: "arm", variant: "v7" }),
    );
    assert.ok(!isPlatformMatch(arm, host));
  });
});
