import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  hostInventory,
  type Inventory,
  isEngineProcess,
  leaks,
  parseLinks,
  parseMountPoints,
  parseNftObjects,
} from "./host-inventory.ts";

const empty: Inventory = { mounts: [], cgroups: [], links: [], netns: [], nft: [], processes: [], fds: [], files: [] };

describe("leaks", () => {
  it("names what is more than before, twice where it is twice more", () => {
    const before = { ...empty, fds: ["socket"], links: ["lo"] };
    const after = { ...empty, fds: ["socket", "socket", "socket"], links: ["lo", "veth1"] };

    assert.deepEqual(leaks(before, after), ["links: veth1", "fds: socket", "fds: socket"]);
  });

  it("doesn't mind what has gone", () => {
    assert.deepEqual(leaks({ ...empty, files: ["/a"] }, empty), []);
  });

  it("looks only at the kinds that are asked for", () => {
    assert.deepEqual(leaks(empty, { ...empty, files: ["/a"], mounts: ["/m"] }, ["mounts"]), ["mounts: /m"]);
  });
});

describe("parseMountPoints", () => {
  it("undoes octal escapes", () => {
    const mountinfo = "29 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n30 29 0:5 / /a\\040b rw - tmpfs tmpfs rw\n";

    assert.deepEqual(parseMountPoints(mountinfo), ["/", "/a b"]);
  });
});

describe("parseLinks", () => {
  const json = JSON.stringify([{ ifname: "lo" }, { ifname: "ogt1" }, { ifname: "veth1", master: "ogt1" }]);

  it("keeps to a bridge and what is plugged into it", () => {
    assert.deepEqual(parseLinks(json, "ogt1"), ["ogt1", "veth1"]);
  });

  it("takes all where no bridge is named", () => {
    assert.deepEqual(parseLinks(json), ["lo", "ogt1", "veth1"]);
  });
});

describe("parseNftObjects", () => {
  const json = JSON.stringify({
    nftables: [
      { metainfo: { version: "1.0.6" } },
      { table: { family: "ip", name: "onggi-ogt1" } },
      { map: { table: "onggi-ogt1", name: "ports", elem: [[80, "172.18.0.2"]] } },
      { table: { family: "ip", name: "docker" } },
      { rule: { table: "docker", chain: "nat", expr: [] } },
    ],
  });

  it("lists our tables, their objects and each element", () => {
    assert.deepEqual(parseNftObjects(json, "ogt1"), [
      "map onggi-ogt1 ports",
      'map onggi-ogt1 ports [80,"172.18.0.2"]',
      "table onggi-ogt1",
    ]);
    assert.deepEqual(parseNftObjects(json, "ogt2"), []);
  });
});

describe("isEngineProcess", () => {
  it("knows spawners and monitors of its roots", () => {
    assert.equal(isEngineProcess("onggi-exec onggi-exec spawner /tmp/a/run", ["/tmp/a"]), true);
    assert.equal(isEngineProcess("onggi-exec onggi-exec spawner /tmp/b/run", ["/tmp/a"]), false);
    assert.equal(isEngineProcess("node node build/cli.js"), false);
  });
});

describe("hostInventory", () => {
  it("sees this process's own open files", () => {
    assert.ok(hostInventory({ pid: process.pid }).fds.length > 0);
  });

  it("lists hidden files, and follows no link out of a root", (test) => {
    const root = mkdtempSync(join(tmpdir(), "onggi-inventory-"));
    test.after(() => rmSync(root, { recursive: true }));
    mkdirSync(join(root, ".hidden"));
    writeFileSync(join(root, ".hidden", "file"), "");
    symlinkSync("/proc", join(root, "link"));

    assert.deepEqual(hostInventory({ roots: [root], cgroupParent: "/onggi-none" }).files, [
      join(root, ".hidden"),
      join(root, ".hidden/file"),
      join(root, "link"),
    ]);
  });
});
