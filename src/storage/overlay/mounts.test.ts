import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../../base/error.ts";
import { type OverlayFeatures, overlayMounts } from "./mounts.ts";

const modern: OverlayFeatures = { lowerdirPlus: true, volatile: true };
const old: OverlayFeatures = { lowerdirPlus: false, volatile: false };
const active = { writable: true, durable: true };
const view = { writable: false, durable: true };
const tree = (layers: number, root = "/s") => ({
  upper: `${root}/id/diff`,
  work: `${root}/id/work`,
  lowers: Array.from({ length: layers }, (_, index) => `${root}/l/LOWER${index}`),
});

describe("overlayMounts", () => {
  it("binds the one directory that there is, since overlay wants a lower one", () => {
    assert.deepEqual(overlayMounts(tree(0), active, modern), [{ type: "bind", source: "/s/id/diff", options: [] }]);
    assert.deepEqual(overlayMounts(tree(1), view, modern), [
      { type: "bind", source: "/s/l/LOWER0", options: [], readonly: true },
    ]);
  });

  it("lays the writable directory over the layers, the nearest first", () => {
    const [mount] = overlayMounts(tree(2), active, modern);
    assert.equal(mount?.type, "overlay");
    assert.deepEqual(mount?.options, [
      "lowerdir=/s/l/LOWER0:/s/l/LOWER1",
      "upperdir=/s/id/diff",
      "workdir=/s/id/work",
      "index=off",
      "metacopy=off",
      "redirect_dir=nofollow",
    ]);
    assert.deepEqual(overlayMounts(tree(2), view, modern), [
      { type: "overlay", source: "overlay", options: ["lowerdir=/s/l/LOWER0:/s/l/LOWER1"], readonly: true },
    ]);
  });

  it("syncs nothing for what needn't last, where the kernel can do so", () => {
    const fleeting = { writable: true, durable: false };
    assert.ok(overlayMounts(tree(2), fleeting, modern)[0]?.options.includes("volatile"));
    assert.ok(!overlayMounts(tree(2), fleeting, old)[0]?.options.includes("volatile"));
  });

  it("names layer by layer what doesn't fit a page, or holds a separator in its path", () => {
    const [mount] = overlayMounts(tree(500, "/var/lib/onggi/snapshots/overlay"), active, modern);
    assert.equal(mount?.options.filter((option) => option.startsWith("lowerdir+=")).length, 500);
    assert.ok(overlayMounts(tree(2, "/a:b,c"), active, modern)[0]?.options.includes("lowerdir+=/a:b,c/l/LOWER1"));
    assert.equal(
      overlayMounts(tree(2, "/a:b,c"), active, old)[0]?.options[0],
      "lowerdir=/a\\:b\\,c/l/LOWER0:/a\\:b\\,c/l/LOWER1",
    );
  });

  it("says how many layers would do", () => {
    const refused = (error: unknown) => isOnggiError(error, "unsupported") && /\d+ layers/.test(error.message);
    assert.throws(() => overlayMounts(tree(501), active, modern), refused);
    assert.throws(() => overlayMounts(tree(400), active, old), refused);
  });
});
