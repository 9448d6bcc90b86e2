import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { messageOf, OnggiError } from "../../base/error.ts";

const run = promisify(execFile);

export type DeviceFileSystem = "ext4" | "xfs";

/**
 * How the file system on devices is made and mounted. All that is written belongs to one project, whose quota tells what a tree holds and
 * keeps it to its limit.
 */
const ways: Readonly<
  Record<DeviceFileSystem, { readonly make: readonly string[]; readonly options: readonly string[] }>
> = {
  ext4: {
    make: [
      "-q",
      "-O",
      "quota,project",
      "-E",
      "quotatype=prjquota,nodiscard,lazy_itable_init=1,lazy_journal_init=1",
      "-m",
      "0",
    ],
    options: ["discard", "prjquota"],
  },
  // Clones have one identity, and xfs mounts only one of them at a time unless told.
  xfs: { make: ["-q", "-K"], options: ["discard", "prjquota", "nouuid"] },
};

export function parseFileSystem(name: string | undefined): DeviceFileSystem {
  if (name === undefined || name === "ext4" || name === "xfs") return name ?? "ext4";
  throw new OnggiError("invalid", `dm.fs is "${name}"`, { hint: "It is ext4 or xfs." });
}

export const mountOptions = (type: DeviceFileSystem): readonly string[] => ways[type].options;

export async function makeFileSystem(type: DeviceFileSystem, device: string): Promise<void> {
  await runTool(`mkfs.${type}`, ...ways[type].make, device);
}

/** Synchronous, since {@link SnapshotDriver.writable} is. */
export function mountOnHost(type: DeviceFileSystem, device: string, place: string): void {
  try {
    execFileSync("mount", ["-t", type, "-o", ways[type].options.join(","), device, place], { stdio: "pipe" });
  } catch (cause) {
    throw new OnggiError("step_failed", `${device} can't be mounted on ${place}`, {
      hint: "The kernel's log says why. Project quotas must be in the kernel (CONFIG_QUOTA, CONFIG_QFMT_V2).",
      cause,
    });
  }
}

/** Makes a mounted file system as large as its device, which has grown. */
export async function growFileSystem(type: DeviceFileSystem, device: string, place: string): Promise<void> {
  if (type === "ext4") await runTool("resize2fs", device);
  else await runTool("xfs_growfs", "-d", place);
}

/** Runs a program of the host. @throws OnggiError `step_failed` with what it said */
export async function runTool(program: string, ...args: readonly string[]): Promise<string> {
  try {
    return (await run(program, args)).stdout;
  } catch (cause) {
    const said = String((cause as { stderr?: unknown }).stderr ?? "").trim();
    throw new OnggiError("step_failed", `${program} ${args.join(" ")}: ${said === "" ? messageOf(cause) : said}`, {
      cause,
    });
  }
}
