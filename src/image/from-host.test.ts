import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseElf } from "./elf.ts";
import { hostImage } from "./from-host.ts";
import { closure } from "./host-closure.ts";
import { encodeLdCache, parseLdCache } from "./ld-cache.ts";
import type { TarEntry } from "./tar-entry.ts";
import { TarReader } from "./tar-reader.ts";

const platform = { os: "linux", architecture: "amd64" };

describe("parseElf", () => {
  it("reads the loader and the needed libraries of this very Node", () => {
    const elf = parseElf(readFileSync(process.execPath));
    assert.match(elf?.interpreter ?? "", /\/ld-linux/);
    assert.ok(elf?.needed.includes("libc.so.6"));
  });

  it("takes anything else for what it is", () => {
    assert.equal(parseElf(Buffer.from("#!/bin/sh\n")), undefined);
    const elf = readFileSync("/bin/sh");
    for (const length of [4, 52, 64, 200, 1000, elf.length >> 1]) {
      assert.doesNotThrow(() => parseElf(elf.subarray(0, length)), `${length} bytes`);
    }
  });

  it("finds the run path and what lies beside the program", () => {
    const elf = parseElf(smallElf({ needed: ["liba.so"], runpath: "$ORIGIN/../lib:/opt" }));
    assert.deepEqual(elf, {
      kind: "2-62",
      interpreter: "/lib/ld.so",
      needed: ["liba.so"],
      rpath: [],
      runpath: ["$ORIGIN/../lib", "/opt"],
    });
  });
});

describe("the loader's cache", () => {
  it("is written as it is read", () => {
    const entries = [
      { name: "libz.so.1", path: "/lib/libz.so.1", flags: 0x303, osVersion: 0, hwcap: 0n },
      { name: "liba.so.2", path: "/lib/liba.so.2", flags: 0x303, osVersion: 1, hwcap: 1n << 62n },
    ];
    assert.deepEqual(parseLdCache(encodeLdCache(entries)), entries);
    assert.deepEqual(
      parseLdCache(Buffer.concat([Buffer.from("ld.so-1.7.0 and more"), encodeLdCache(entries)])),
      entries,
    );
    assert.deepEqual(parseLdCache(Buffer.from("nothing")), []);
    assert.deepEqual(parseLdCache(encodeLdCache(entries).subarray(0, 60)), []);
  });
});

describe("closure", () => {
  it("follows a script to its interpreter and all its libraries", () => {
    const { files, missing } = closure(["/bin/sh"], ["libnss_files.so.2", "libnone.so.1"], () => undefined);
    assert.ok(files.some((path) => /\/ld-linux/.test(path)));
    assert.ok(files.some((path) => path.endsWith("/libc.so.6")));
    assert.deepEqual(missing, []);
  });
});

describe("hostImage", () => {
  it("holds the program, the links that lead to it, and a usable /etc, each after its folder", async () => {
    const { tree, config, warnings } = hostImage(["sh", "nothing-like-this"], platform);
    const entries: TarEntry[] = [];
    const reader = new TarReader({ entry: (entry) => entries.push(entry), data: () => {}, end: () => {} });
    for await (const chunk of tree.tar()) reader.write(Buffer.from(chunk));
    reader.end();

    const paths = entries.map(({ path }) => path.replace(/\/$/, ""));
    for (const path of ["etc/passwd", "etc/nsswitch.conf", "etc/ld.so.cache", "tmp", "root", "proc", "var/tmp"]) {
      assert.ok(paths.includes(path), path);
    }
    const links = new Set(entries.filter(({ type }) => type === "symlink").map(({ path }) => path));
    for (const path of paths) {
      const parent = path.slice(0, path.lastIndexOf("/"));
      const isThere = !path.includes("/") || paths.indexOf(parent) < paths.indexOf(path);
      assert.ok(isThere && (paths.includes(parent) || !path.includes("/")) && !links.has(parent), path);
    }
    assert.deepEqual(config.config?.Cmd, ["sh"]);
    assert.deepEqual(warnings, ["nothing-like-this is not on this host: left out"]);
  });
});

/** A 64-bit program with a loader, one loaded segment and a dynamic section, all at its own offsets. */
function smallElf({ needed, runpath }: { needed: string[]; runpath: string }): Buffer {
  const file = Buffer.alloc(1024);
  const strings = Buffer.from(`\0${needed.join("\0")}\0${runpath}\0`);
  file.write("\x7fELF\x02\x01\x01", 0, "latin1");
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(3, 56);
  const segment = (index: number, type: number, offset: number, address: number, size: number) => {
    const at = 64 + index * 56;
    file.writeUInt32LE(type, at);
    file.writeBigUInt64LE(BigInt(offset), at + 8);
    file.writeBigUInt64LE(BigInt(address), at + 16);
    file.writeBigUInt64LE(BigInt(size), at + 32);
  };
  segment(0, 1, 0, 0x10000, 1024);
  segment(1, 3, 300, 0, 11);
  segment(2, 2, 400, 0, 64);
  file.write("/lib/ld.so\0", 300);
  const tags = [
    [1, 1],
    [29, 1 + needed.join("\0").length + 1],
    [5, 0x10000 + 600],
    [0, 0],
  ];
  for (const [index, [tag = 0, value = 0]] of tags.entries()) {
    file.writeBigUInt64LE(BigInt(tag), 400 + index * 16);
    file.writeBigUInt64LE(BigInt(value), 408 + index * 16);
  }
  strings.copy(file, 600);
  return file;
}
