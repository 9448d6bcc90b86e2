/** The two commands of README in a clean clone: everything is made, by itself, and the second time nothing. */
import assert from "node:assert/strict";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { clearHost } from "./clear-host.ts";
import { checkout } from "./clients.ts";
import { engineProcesses } from "./engine-processes.ts";
import { runCommand } from "./run-command.ts";
import { Terminal } from "./terminal.ts";

/** The default names are used here, so there must be nobody else who has them. */
const skip =
  engineProcesses("/run/onggi").length > 0
    ? "an engine runs on this machine's default root"
    : (await runCommand("git", ["-C", checkout, "rev-parse", "HEAD"]).catch(() => undefined))?.code !== 0 &&
      "this is no clone";

describe("a clean clone", { skip }, () => {
  let scratch: string;
  let clone: string;
  /** A mount and a network namespace in which the default folders and the default bridge are this test's own. */
  let apart: readonly string[];

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-first-"));
    clone = join(scratch, "onggi");
    const { code, stderr } = await runCommand("git", ["clone", "-q", checkout, clone]);
    assert.equal(code, 0, stderr);
    const folders = ["/var/lib/onggi", "/run/onggi", "/var/log/onggi"];
    const mounts = folders.map((folder, at) => {
      const own = join(scratch, String(at));
      mkdirSync(own);
      return `mkdir -p ${folder}; mount --bind ${own} ${folder}`;
    });
    // What /sys shows of links is the network's in which it was mounted.
    const cgroups = join(scratch, "cgroup");
    mkdirSync(cgroups);
    mounts.push(
      `mount --rbind /sys/fs/cgroup ${cgroups}; mount -t sysfs sysfs /sys; mount --rbind ${cgroups} /sys/fs/cgroup`,
    );
    apart = ["unshare", "-mn", "sh", "-ec", `${mounts.join("; ")}; exec "$@"`, "sh"];
  });

  after(async () => {
    const daemon = daemonOf(clone);
    if (daemon !== undefined) process.kill(daemon, "SIGTERM");
    for (let tries = 0; tries < 100 && daemonOf(clone) !== undefined; tries++) await sleep(50);
    await clearHost({ roots: [scratch], bridge: "ogt-none", cgroupParent: "/onggi" });
    rmSync(scratch, { recursive: true, force: true });
  });

  it("builds itself, starts the daemon, makes the image, and gives a shell as PID 1 with a network", {
    timeout: 150_000,
  }, async () => {
    await using terminal = await Terminal.open(
      [...apart, join(clone, "onggi"), "run", "--rm", "-it", "host", "sh"],
      process.env,
    );
    await terminal.sees(/# $/, 140_000);
    terminal.type("echo pid $$; ip -4 -o addr show eth0; ip route\r");
    await terminal.sees(/pid 1\r\n/);
    await terminal.sees(/eth0 +inet 172\./);
    await terminal.sees(/default via 172\./);
    terminal.type("exit 5\r");
    assert.equal(await terminal.status(), 5);
  });

  it("does nothing but run the second time", async () => {
    const daemon = daemonOf(clone);
    assert.ok(daemon !== undefined, "the daemon has stayed");
    const startedMs = performance.now();
    const { code, stdout, stderr } = await runCommand("nsenter", [
      "-t",
      String(daemon),
      "-m",
      "-n",
      join(clone, "onggi"),
      "run",
      "--rm",
      "host",
      "sh",
      "-c",
      "echo $$",
    ]);
    assert.deepEqual([code, stdout, stderr], [0, "1\n", ""]);
    assert.ok(performance.now() - startedMs < 5000);
  });
});

function daemonOf(clone: string): number | undefined {
  const path = globSync("/proc/[0-9]*/cmdline").find((file) => commandLine(file).includes(`${clone}/build/daemon.js`));
  return path === undefined ? undefined : Number(path.split("/")[2]);
}

function commandLine(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // It has ended meanwhile.
  }
}
