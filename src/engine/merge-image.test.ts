import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mergeEnv, mergeImage } from "./merge-image.ts";

const image = { Entrypoint: ["/entry"], Cmd: ["a"], Env: ["PATH=/bin", "A=1"], User: "web", WorkingDir: "/srv" };

describe("mergeImage", () => {
  it("takes the image's entrypoint and command where nothing is asked", () => {
    assert.deepEqual(mergeImage({ image: "x" }, image).argv, ["/entry", "a"]);
  });

  it("replaces the command, and drops it when the entrypoint is replaced", () => {
    assert.deepEqual(mergeImage({ image: "x", command: ["b"] }, image).argv, ["/entry", "b"]);
    assert.deepEqual(mergeImage({ image: "x", entrypoint: ["sh"] }, image).argv, ["sh"]);
    assert.deepEqual(mergeImage({ image: "x", entrypoint: [], command: ["ls"] }, image).argv, ["ls"]);
  });

  it("refuses to run nothing", () => {
    assert.throws(() => mergeImage({ image: "x" }, {}), /no command specified/);
  });

  it("takes user and directory of the container before those of the image", () => {
    const merged = mergeImage({ image: "x", user: "0", labels: { b: "2" } }, { ...image, Labels: { a: "1", b: "1" } });

    assert.deepEqual([merged.user, merged.workingDirectory, merged.stopSignal], ["0", "/srv", "SIGTERM"]);
    assert.deepEqual(merged.labels, { a: "1", b: "2" });
  });
});

describe("mergeEnv", () => {
  it("lets later settings win, removes bare names and has a PATH", () => {
    assert.deepEqual(mergeEnv(["A=1", "B=2"], ["A=3", "B"]), [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "A=3",
    ]);
    assert.deepEqual(mergeEnv(["PATH=/x"], []), ["PATH=/x"]);
  });
});
