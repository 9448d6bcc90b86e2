import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { selectProcesses } from "./process-table.ts";

const output = "UID   PID  PPID CMD\nroot  12   1    sh -c  sleep 5\nroot  13   12   sleep 5\nroot  99   1    other\n";

describe("selectProcesses", () => {
  it("keeps the container's own, commands whole", () => {
    assert.deepEqual(selectProcesses(output, new Set([12, 13])), {
      titles: ["UID", "PID", "PPID", "CMD"],
      processes: [
        ["root", "12", "1", "sh -c sleep 5"],
        ["root", "13", "12", "sleep 5"],
      ],
    });
  });

  it("refuses columns without a PID", () => {
    assert.throws(() => selectProcesses("CMD\nsh\n", new Set()), /PID field/);
  });
});
