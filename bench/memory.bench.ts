/** What the daemon and a container's monitor keep in memory. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { table } from "./harness.ts";
import { scratchImage, startOwnDaemon } from "./own-daemon.ts";

const containers = 500;
const atOnce = 8;

function privateKib(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const read = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(rollup)?.[1] ?? 0);
  return read("Private_Clean") + read("Private_Dirty");
}

function rssMib(pid: number): number {
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

/** The monitor is the parent of the container's PID 1. */
function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}

export default table({
  title: "Memory",
  unit: "see the row",
  async define({ row }) {
    const own = await startOwnDaemon();
    await own.restart();
    await sleep(3000);
    const atRest = rssMib(own.daemon.pid);
    const ids: string[] = [];
    const startOne = async () => {
      const id = await own.api.create({ Image: scratchImage, Cmd: ["/bin/pause"] });
      await own.api.start(id);
      ids.push(id);
    };
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (ids.length < containers - atOnce + 1) await startOne();
      }),
    );
    await sleep(3000);
    const withMany = rssMib(own.daemon.pid);
    const [some = ""] = ids;
    const { State } = await own.api.json<{ State: { Pid: number } }>("GET", `/containers/${some}/json`);
    const monitor = privateKib(parentOf(State.Pid));
    const options = { n: 1, warmUps: 0 };
    row("daemon at rest, MiB RSS (goal: 70)", () => atRest, options);
    row(`daemon with ${ids.length} containers running, MiB RSS (goal: 90)`, () => withMany, options);
    row("an idle container's monitor, KiB private (goal: 150)", () => monitor, options);
    row("daemon's open descriptors with them", () => readdirSync(`/proc/${own.daemon.pid}/fd`).length, options);
    return () => own.stop();
  },
});
