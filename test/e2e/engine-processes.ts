/** Finds the processes of one engine, so that a test can kill this one or that. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface EngineProcess {
  readonly pid: number;
  readonly parent: number;
  readonly commandLine: string;
}

/** Spawner, monitors and workers of the engine whose run directory this is. */
export function engineProcesses(runRoot: string): readonly EngineProcess[] {
  return allProcesses().filter(
    ({ commandLine }) => commandLine.includes("onggi-exec") && commandLine.includes(runRoot),
  );
}

/** The child of a daemon that forks the others. */
export function spawnerOf(daemonPid: number): number | undefined {
  return allProcesses().find(({ parent, commandLine }) => parent === daemonPid && commandLine.includes("onggi-exec"))
    ?.pid;
}

/** The parent of a container's PID 1. */
export function monitorOf(containerPid: number): number | undefined {
  return allProcesses().find(({ pid }) => pid === containerPid)?.parent;
}

/** Kills a process and waits until it is gone. */
export async function kill9(pid: number | undefined): Promise<void> {
  if (pid === undefined || pid <= 1) return;
  process.kill(pid, "SIGKILL");
  while (isAlive(pid)) await sleep(2);
}

export function isAlive(pid: number): boolean {
  const found = allProcesses().find((one) => one.pid === pid);
  return found !== undefined && found.commandLine !== "";
}

function allProcesses(): readonly EngineProcess[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const commandLine = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      // After the name, which may have spaces and brackets in it: state, parent.
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      return [{ pid: Number(name), parent, commandLine }];
    } catch {
      return []; // It ended meanwhile.
    }
  });
}
