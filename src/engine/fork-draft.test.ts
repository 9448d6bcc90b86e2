import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { ContainerNames } from "./container-names.ts";
import { type ContainerRecord, neverRan } from "./container-record.ts";
import { countOfForks, draftFork, forkNames } from "./fork-draft.ts";

function aRecord(changes: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    format: 1,
    id: "a".repeat(64),
    name: "web",
    config: { image: "host", name: "web" },
    image: { id: "sha256:image", reference: "host", config: { Volumes: { "/data": {} } }, chainId: "sha256:top" },
    argv: ["serve"],
    env: ["A=1"],
    workingDirectory: "/srv",
    user: "",
    labels: { tier: "front" },
    exposedPorts: [],
    stopSignal: "SIGTERM",
    hostname: "jar",
    createdAtMs: 1,
    last: { ...neverRan, exitCode: 3, startedAtMs: 2, finishedAtMs: 3 },
    restartCount: 4,
    stoppedByUser: true,
    wasRunning: true,
    ...changes,
  };
}

const draft = (source: ContainerRecord) => draftFork(source, { name: "copy", base: "fork-1" }, new ContainerNames());

describe("draftFork", () => {
  it("keeps what runs and how, and has an id, a name and a host name of its own", () => {
    const source = aRecord({ swap: { base: "snap-1", before: { id: "b" }, runs: true } });
    const fork = draft(source);
    assert.match(fork.id, /^[0-9a-f]{64}$/);
    assert.notEqual(fork.id, source.id);
    assert.deepEqual([fork.name, fork.config.name, fork.hostname], ["copy", "copy", fork.id.slice(0, 12)]);
    assert.deepEqual(
      [fork.argv, fork.env, fork.workingDirectory, fork.labels],
      [source.argv, source.env, source.workingDirectory, source.labels],
    );
    assert.deepEqual([fork.base, fork.swap], ["fork-1", undefined]);
  });

  it("has the environment it is given on top", () => {
    const source = aRecord({ config: { image: "host", env: ["A=1", "B=2"] }, env: ["A=1", "B=2", "C=3"] });
    const fork = draftFork(source, { name: "copy", base: "fork-1", env: ["A=9", "C", "D=4"] }, new ContainerNames());
    assert.deepEqual(
      fork.env.filter((entry) => !entry.startsWith("PATH=")),
      ["A=9", "B=2", "D=4"],
    );
    assert.deepEqual(fork.config.env, ["A=1", "B=2", "A=9", "C", "D=4"]);
  });

  it("has never run", () => {
    const { last, restartCount, stoppedByUser, wasRunning } = draft(aRecord());
    assert.deepEqual([last, restartCount, stoppedByUser, wasRunning], [neverRan, 0, false, false]);
  });

  it("leaves host name and host ports to the one it was forked from", () => {
    const port = { containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8080 } as const;
    const fork = draft(aRecord({ config: { image: "host", hostname: "db", ports: [port] } }));
    assert.notEqual(fork.hostname, "db");
    assert.equal(fork.config.hostname, undefined);
    assert.deepEqual(fork.config.ports, [{ ...port, hostPort: 0 }]);
  });

  it("has anonymous volumes of its own", () => {
    const first = draft(aRecord());
    const second = draft(aRecord());
    const source = (fork: ContainerRecord) => JSON.stringify(fork.mounts);
    assert.equal(first.mounts?.[0]?.target, "/data");
    assert.notEqual(source(first), source(second));
  });
});

describe("forkNames", () => {
  it("takes those that were given, then numbers that are free", () => {
    const taken = new Set(["web-fork-2"]);
    assert.deepEqual(
      forkNames("web", 4, ["/one"], (name) => taken.has(name)),
      ["one", "web-fork-1", "web-fork-3", "web-fork-4"],
    );
    assert.deepEqual(
      forkNames("web", 2, ["web-fork-1"], () => false),
      ["web-fork-1", "web-fork-2"],
    );
  });
});

describe("countOfForks", () => {
  it("is what was asked for, as many as there are names, or one", () => {
    assert.deepEqual(
      [countOfForks(3, ["a"]), countOfForks(undefined, ["a", "b"]), countOfForks(undefined, [])],
      [3, 2, 1],
    );
  });

  it("refuses none, too many, and more names than forks", () => {
    for (const [count, names] of [
      [0, []],
      [-1, []],
      [1.5, []],
      [1001, []],
      [1, ["a", "b"]],
    ] as const)
      assert.throws(
        () => countOfForks(count, names),
        (error) => isOnggiError(error, "invalid"),
      );
  });
});
