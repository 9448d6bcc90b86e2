import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** Why thin devices can't be made here; undefined where they can. */
export async function probeDevicemapper(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "making devices needs root";
  if (!isRegistered() && !load("dm-thin-pool"))
    return "the kernel has no device-mapper with thin provisioning (CONFIG_DM_THIN_PROVISIONING)";
  const missing = ["mkfs.ext4", "losetup"].find((program) => !hasProgram(program));
  return missing === undefined ? undefined : `it needs the program ${missing}`;
}

/** The module's own folder is there when it is loaded or built in. */
function isRegistered(): boolean {
  return existsSync("/sys/module/dm_thin_pool") && /^\s*\d+ device-mapper$/m.test(readFileSync("/proc/misc", "utf8"));
}

function load(module: string): boolean {
  try {
    execFileSync("modprobe", ["--quiet", module], { stdio: "ignore" });
    return isRegistered();
  } catch {
    return false;
  }
}

function hasProgram(name: string): boolean {
  const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
  return path.split(":").some((folder) => existsSync(`${folder}/${name}`));
}
