import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { frame, type Script, withFakeDaemon } from "./fake-daemon.ts";

const program = join(import.meta.dirname, "../cli.ts");
const length = 1_000_000;
const script: Script = {
  "GET /containers/web/json": () => ({ json: { Id: "c1", Config: { Tty: false } } }),
  "GET /containers/c1/logs": () => ({ text: frame(1, "x".repeat(length)) }),
};

function logs(socketPath: string) {
  const child = spawn(process.execPath, [program, "-H", `unix://${socketPath}`, "logs", "web"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const status = new Promise((resolve) => child.on("close", resolve));
  return { child, status };
}

describe("the process", () => {
  it("ends only when a slow reader has taken all", async () => {
    await withFakeDaemon(script, async ({ socketPath }) => {
      const { child, status } = logs(socketPath);
      await sleep(300);
      const read = await buffer(child.stdout);

      assert.equal(read.length, length);
      assert.equal(await status, 0);
    });
  });

  it("ends quietly when its reader goes", async () => {
    await withFakeDaemon(script, async ({ socketPath }) => {
      const { child, status } = logs(socketPath);
      child.stdout.destroy();

      assert.equal(String(await buffer(child.stderr)), "");
      assert.equal(await status, 141);
    });
  });
});
