import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hintFor } from "./hint.ts";

describe("hintFor", () => {
  const mount = { op: "mount", source: "x", target: "/x", flags: 0, data: "" } as const;

  it("knows more of a step than of its errno alone", () => {
    assert.match(hintFor({ op: "mkdir", path: "/x", mode: 0o755 }, "ENOSPC") ?? "", /Free space/);
    assert.match(hintFor({ ...mount, type: "tmpfs" }, "ENOSPC") ?? "", /mount-max/);
  });

  it("knows file systems, by either way to mount them", () => {
    const overlay = {
      op: "fsmount",
      type: "overlay",
      source: "overlay",
      options: [],
      attributes: 0,
      target: "/x",
    } as const;

    assert.match(hintFor(overlay, "EINVAL") ?? "", /stacked/);
    assert.match(hintFor({ ...mount, type: "tmpfs" }, "EINVAL") ?? "", /options/);
  });

  it("says nothing where it knows nothing", () => {
    assert.equal(hintFor({ op: "umask", mask: 0 }, "EXDEV"), undefined);
  });
});
