import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";
import { parseExitRecord } from "./exit-record.ts";
import { stepFailure } from "./failed-step.ts";
import { StepFailure } from "./step-failure.ts";

const mkdir: Op = { op: "mkdir", path: "/x", mode: 0o755 };
const exec: Op = { op: "exec", file: "nginx", argv: ["nginx"], env: [], searchPath: "/bin" };
const describeOp = (op: Op) => `do ${op.op}`;

describe("stepFailure", () => {
  it("says the step as a command, the errno in words, and what to do", () => {
    const failure = stepFailure("host", { ops: [exec, mkdir], index: 1, errno: 28 }, describeOp);

    assert.ok(failure instanceof StepFailure);
    assert.equal(failure.message, "step failed: do mkdir: no space left on device (ENOSPC)");
    assert.deepEqual(
      [failure.code, failure.part, failure.index, failure.op, failure.errno],
      ["step_failed", "host", 1, mkdir, "ENOSPC"],
    );
    assert.match(failure.hint ?? "", /Free space/);
  });

  it("tells a program that is missing from one that can't be executed", () => {
    const codes = [2, 13, 8].map((errno) => stepFailure("child", { ops: [exec], index: 0, errno }, describeOp));

    assert.deepEqual(
      codes.map(({ code }) => code),
      ["command_not_found", "command_not_executable", "command_not_executable"],
    );
    assert.match(codes[0]?.message ?? "", /^exec: "nginx": no such file or directory \(ENOENT\)$/);
  });

  it("of a program that the executor can't read is a defect, not a step", () => {
    const failure = stepFailure("host", { ops: [mkdir], index: 0, errno: 74 }, describeOp);

    assert.equal(isOnggiError(failure, "internal"), true);
    assert.equal(isOnggiError(stepFailure("host", { ops: [], index: 3, errno: 2 }, describeOp), "internal"), true);
  });
});

describe("parseExitRecord", () => {
  it("reads what the monitor writes", () => {
    const text =
      '{"status":137,"signal":9,"finishedAtNs":"1795473614987377655","oomKills":1,"memoryPeakBytes":209715200}\n';

    assert.deepEqual(parseExitRecord(text), {
      status: 137,
      signal: 9,
      finishedAtNs: 1795473614987377655n,
      oomKills: 1,
      memoryPeakBytes: 209715200,
    });
  });

  it("refuses anything else as corrupt", () => {
    for (const text of ["", "{}", "null", '{"status":"x"}']) {
      assert.throws(
        () => parseExitRecord(text),
        (error) => isOnggiError(error, "corrupt"),
      );
    }
  });
});
