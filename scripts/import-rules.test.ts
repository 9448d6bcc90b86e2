import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { checkImports } from "./import-rules.ts";

const clean = {
  "src/base/error.ts": "export const error = 1;",
  "src/storage/snapshotter.ts": 'import { error } from "../base/error.ts"; export const snapshotter = error;',
  "src/image/unpack.ts": 'import { error } from "../base/error.ts"; export const unpack = error;',
  "src/engine/engine.ts": 'import { unpack } from "../image/unpack.ts"; export const engine = unpack;',
  "src/api/wire.ts": "export interface Wire { readonly id: string }",
  "src/api/server.ts": 'import { engine } from "../engine/engine.ts"; export const server = engine;',
  "src/cli/run.ts": 'import type { Wire } from "../api/wire.ts"; export const run = (wire: Wire) => wire.id;',
  "src/cli.ts":
    'import { run } from "./cli/run.ts"; import { server } from "./api/server.ts"; export default [run, server];',
};

const faults: readonly { readonly rule: string; readonly path: string; readonly source: string }[] = [
  { rule: "base-imports", path: "src/base/up.ts", source: 'import "../image/unpack.ts";' },
  { rule: "image-imports", path: "src/image/neighbour.ts", source: 'import "../storage/snapshotter.ts";' },
  {
    rule: "image-imports",
    path: "src/image/type.ts",
    source: 'import type { snapshotter } from "../storage/snapshotter.ts"; export type S = typeof snapshotter;',
  },
  { rule: "api-imports", path: "src/api/part.ts", source: 'import "../image/unpack.ts";' },
  { rule: "cli-imports", path: "src/cli/code.ts", source: 'export const server = () => import("../api/server.ts");' },
  { rule: "engine-imports", path: "src/engine/root.ts", source: 'import "../cli.ts";' },
  { rule: "every-folder-has-a-row", path: "src/misc/thing.ts", source: 'import "../base/error.ts";' },
  {
    rule: "image-imports",
    path: "src/image/using.ts",
    source: `export async function f(list: AsyncDisposable[]) {
      for (await using one of list) console.log(one);
      await using held = (await import("../storage/snapshotter.ts")) as never;
      return held;
    }`,
  },
  { rule: "deciding-does-no-io", path: "src/program/read.ts", source: 'import "node:fs";' },
  { rule: "compile-stays-clean", path: "src/runtime/compile/launch.ts", source: 'import "../../executor/launch.ts";' },
  { rule: "tests-stay-out", path: "src/image/testing.ts", source: 'import "./unpack.test.ts";' },
  { rule: "everything-resolves", path: "src/image/gone.ts", source: 'import "./gone-file.ts";' },
  { rule: "no-cycles", path: "src/image/a.ts", source: 'import "./b.ts";' },
  { rule: "drivers-are-strangers", path: "src/storage/overlay/driver.ts", source: 'import "../btrfs/driver.ts";' },
];

const alongside = {
  "src/executor/launch.ts": "export const launch = 1;",
  "src/image/unpack.test.ts": "export const test = 1;",
  "src/image/b.ts": 'import "./a.ts";',
  "src/storage/btrfs/driver.ts": "export const driver = 1;",
};

async function inTree<T>(files: Readonly<Record<string, string>>, work: (root: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), "onggi-import-rules-"));
  try {
    for (const [path, source] of Object.entries({ "package.json": "{}", "tsconfig.json": "{}", ...files })) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), source);
    }
    return await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

describe("the import rules", () => {
  it("pass a clean tree and count its modules", async () => {
    const report = await inTree(clean, checkImports);

    assert.deepEqual(report, { modules: Object.keys(clean).length, problems: [] });
  });

  it("fail when there is nothing to look at", async () => {
    const report = await inTree({ "src/readme.md": "" }, checkImports);

    assert.deepEqual(report.problems, ["no module was looked at"]);
  });

  it("catch each fault that is planted", async () => {
    const planted = Object.fromEntries(faults.map(({ path, source }) => [path, source]));
    const { problems } = await inTree({ ...clean, ...alongside, ...planted }, checkImports);

    const missed = faults.filter(
      ({ rule, path }) => !problems.some((problem) => problem.startsWith(path) && problem.includes(rule)),
    );
    assert.deepEqual(missed, []);
  });
});
