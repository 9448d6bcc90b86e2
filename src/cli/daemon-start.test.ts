import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { startDaemon } from "./daemon-start.ts";
import { fakeIo } from "./fake-daemon.ts";

describe("startDaemon", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "onggi-start-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const program = (text: string) => {
    const path = join(folder, "daemon.mjs");
    writeFileSync(path, text);
    return { socketPath: join(folder, "api.sock"), program: path, logFolders: ["/dev/null/nowhere", folder] };
  };

  it("returns when the daemon answers, and says nothing when that is soon", async () => {
    const { io, texts } = fakeIo();
    const listening = `
      import { createServer } from "node:net";
      createServer(() => process.exit()).listen(process.argv[1].replace("daemon.mjs", "api.sock"));`;
    await startDaemon(io, program(listening));

    assert.equal(texts.err, "");
  });

  it("tells what the daemon said when it ends", async () => {
    const dying = 'process.stderr.write("onggi: the root is held by process 12\\n"); process.exit(3);';
    await assert.rejects(startDaemon(fakeIo().io, program(dying)), {
      code: "unavailable",
      message: "the daemon could not start (exit status 3):\nonggi: the root is held by process 12",
      hint: `Its log is ${join(folder, "daemon.log")}.`,
    });
    assert.match(readFileSync(join(folder, "daemon.log"), "utf8"), /held by process 12/);
  });
});
