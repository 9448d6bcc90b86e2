/** Takes off the host what a test's engine has there by design: its bridge, firewall table and cgroups; and what a failed test left. */
import { rmdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { hostInventory, type InventoryScope, membersOf } from "../host-inventory.ts";
import { runCommand } from "./run-command.ts";

/** Only for an engine that has ended, and whose roots no other will open. */
export async function clearHost(scope: Required<Omit<InventoryScope, "pid">>): Promise<void> {
  const { cgroups, processes } = hostInventory(scope);
  const pids = [...membersOf(cgroups), ...processes.map((line) => Number.parseInt(line, 10))];
  for (const pid of pids) kill(pid);
  if (pids.length > 0) await sleep(100);
  for (const path of cgroups.toSorted((a, b) => b.length - a.length)) removeFolder(path);
  await runCommand("ip", ["link", "delete", scope.bridge]);
  await runCommand("nft", ["delete", "table", "ip", `onggi-${scope.bridge}`]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not empty yet, or gone with another controller's.
  }
}
