import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { unifiedDiff } from "./unified-diff.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index}\n`).join("");

describe("unifiedDiff", () => {
  it("says nothing of equal texts", () => {
    assert.equal(unifiedDiff("a", "b", "x\n", "x\n"), "");
  });

  it("writes changes with three lines around each, apart where they are far from each other", () => {
    const after = numbers(30).replace("\n5\n", "\nfive\n").replace("\n25\n", "\n");

    assert.equal(
      unifiedDiff("a/f", "b/f", numbers(30), after),
      `--- a/f
+++ b/f
@@ -3,7 +3,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
@@ -23,7 +23,6 @@
 22
 23
 24
-25
 26
 27
 28
`,
    );
  });

  it("tells of a missing end of line, of new files and of those that are gone", () => {
    assert.equal(
      unifiedDiff("/dev/null", "b/f", "", "x"),
      "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n",
    );
    assert.equal(unifiedDiff("a/f", "/dev/null", "x\n", ""), "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n");
  });

  it("is what patch(1) takes, whatever the texts", { skip: hasPatch() ? false : "needs patch" }, () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-diff-"));
    const text = fc
      .array(fc.constantFrom("a\n", "b\n", "c\n", "\n", "d"), { maxLength: 25 })
      .map((parts) => parts.join(""));
    const file = join(folder, "f");
    try {
      fc.assert(
        fc.property(text, text, (before, after) => {
          fc.pre(before !== after && before !== "" && after !== "");
          writeFileSync(file, before);
          const input = unifiedDiff("f", "f", before, after);
          const { status, stdout } = spawnSync("patch", ["-s", "-F0", file], { input, encoding: "utf8" });
          assert.equal(status, 0, `${stdout}\n${input}`);
          assert.equal(readFileSync(file, "utf8"), after);
        }),
        { numRuns: 60 },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("gives up seeking the shortest way where nearly all differs", () => {
    const after = Array.from({ length: 5000 }, (_, index) => `x${index}\n`).join("");

    const lines = unifiedDiff("a", "b", numbers(5000), after).split("\n");

    assert.equal(lines.filter((line) => line.startsWith("-")).length, 5001);
  });
});

function hasPatch(): boolean {
  return spawnSync("patch", ["--version"]).status === 0;
}
