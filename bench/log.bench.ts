/** Output into the log, and back. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { table } from "./harness.ts";
import { startOwnDaemon } from "./own-daemon.ts";

const line = `${"x".repeat(99)}\n`;
const gigabyte = 1_000_000_000;
/** Prints a number of bytes in lines, at the speed of `yes`. */
const print = (bytes: number) => `yes ${line.trim()} | head -c ${bytes}`;

export default table({
  title: "Output",
  unit: "MB/s",
  async define({ row }) {
    const own = await startOwnDaemon();
    const directory = mkdtempSync(join(tmpdir(), "onggi-bench-log-"));
    const cat = "1 GB of 100-byte lines through one pipe into a file by `cat`";
    row(
      cat,
      () => {
        const before = performance.now();
        execFileSync("sh", ["-c", `${print(gigabyte)} | cat > ${join(directory, "out")}`]);
        return megabytesPerSecond(gigabyte, before);
      },
      { n: 5, warmUps: 1 },
    );
    row("the same printed by a container into its log (goal: half of it)", () => logged(gigabyte), {
      pairedWith: cat,
      warmUps: 1,
    });

    const reader = await own.api.create({
      Image: "host",
      Cmd: ["sh", "-c", print(200_000_000)],
      HostConfig: { LogConfig: { Type: "local", Config: { "max-size": "1g" } } },
    });
    await own.api.start(reader);
    await own.api.wait(reader);
    row("`logs` of 200 MB read back through the API (goal: 200)", () => readBack(reader), { n: 5, warmUps: 1 });

    async function logged(bytes: number): Promise<number> {
      const id = await own.api.create({ Image: "host", Cmd: ["sh", "-c", print(bytes)] });
      const before = performance.now();
      await own.api.start(id);
      await own.api.wait(id);
      const speed = megabytesPerSecond(bytes, before);
      await own.api.remove(id);
      return speed;
    }

    async function readBack(id: string): Promise<number> {
      const before = performance.now();
      const sent = request({ socketPath: own.daemon.socket, path: `/v1.41/containers/${id}/logs?stdout=1&stderr=1` });
      sent.end();
      const [response] = (await once(sent, "response")) as [NodeJS.ReadableStream];
      let bytes = 0;
      for await (const chunk of response) bytes += chunk.length;
      if (bytes < 200_000_000) throw new Error(`only ${bytes} bytes came back`);
      return megabytesPerSecond(bytes, before);
    }

    return async () => {
      rmSync(directory, { recursive: true });
      await own.stop();
    };
  },
});

function megabytesPerSecond(bytes: number, beforeMs: number): number {
  return bytes / 1e6 / ((performance.now() - beforeMs) / 1000);
}
