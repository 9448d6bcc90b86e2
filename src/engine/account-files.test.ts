import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Executor } from "../executor/executor.ts";
import type { Op } from "../program/op.ts";
import { accountFilesIn } from "./account-files.ts";

describe("accountFilesIn", () => {
  it("doesn't take one file for the other where one isn't there", async () => {
    const run = async (ops: readonly Op[]) =>
      ops.flatMap((op) => (op.op === "readFile" && op.path === "/etc/group" ? [Buffer.from("wheel:x:10:")] : []));
    const executor: Pick<Executor, "work"> = { work: async () => ({ run, close: async () => {} }) };

    assert.deepEqual(await accountFilesIn(executor as Executor, 1, 1n), { passwd: "", group: "wheel:x:10:" });
  });
});
