import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { isErrno } from "../base/errno.ts";
import { OnggiError } from "../base/error.ts";
import { readControl, readPids, writeControl } from "./control-file.ts";

const limitMs = 10_000;

/**
 * Freezes processes with a v1 freezer group made for it.
 *
 * They are moved in until a look finds none outside: a child that is forked meanwhile starts where its parent is. The kernel
 * may stay at FREEZING while a process is in a place that can't stop; thawing for a moment lets it go on, as runc found.
 */
export async function freezeV1(group: string, pids: () => readonly number[]): Promise<void> {
  mkdirSync(group, { recursive: true });
  const state = join(group, "freezer.state");
  const end = Date.now() + limitMs;
  for (let round = 1; Date.now() < end; round++) {
    const moved = moveAll(group, pids());
    if (readControl(state) !== "FROZEN") writeControl(state, "FROZEN");
    if (moved === 0 && readControl(state) === "FROZEN") return;
    if (round % 25 === 0) {
      writeControl(state, "THAWED");
      await setTimeout(10);
    } else if (moved === 0) await setTimeout(2);
  }
  writeControl(state, "THAWED");
  throw new OnggiError("unavailable", `${group} could not be frozen within ${limitMs / 1000} s`, {
    hint: "A process in it waits for a device or a network file system. Try again later.",
  });
}

export async function thawV1(group: string): Promise<void> {
  if (!existsSync(group)) return;
  const state = join(group, "freezer.state");
  writeControl(state, "THAWED");
  for (let tries = 0; readControl(state) === "FREEZING" && tries < 500; tries++) await setTimeout(2);
}

/** @returns how many were outside */
function moveAll(group: string, pids: readonly number[]): number {
  const inside = new Set(readPids(group));
  const outside = pids.filter((pid) => !inside.has(pid));
  for (const pid of outside) {
    try {
      writeControl(join(group, "cgroup.procs"), String(pid));
    } catch (error) {
      // It ended meanwhile.
      if (!isErrno(error, "ESRCH")) throw error;
    }
  }
  return outside.length;
}
