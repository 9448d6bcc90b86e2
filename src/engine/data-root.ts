import { createHash } from "node:crypto";
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "../base/errno.ts";
import { isOnggiError, messageOf, OnggiError } from "../base/error.ts";

export const defaultRoot = "/var/lib/onggi";
const defaultRunRoot = "/run/onggi";
const followMs = 3000;
const followStepMs = 50;

/** The names of all that an engine has on the host; another data root has others, so engines don't meet. */
export interface Places {
  readonly root: string;
  readonly runRoot: string;
  readonly bridge: string;
  readonly cgroupParent: string;
}

export function placesFor(
  options: { readonly root?: string; readonly runRoot?: string; readonly bridge?: string } = {},
): Places {
  const root = resolve(options.root ?? defaultRoot);
  const isDefault = root === defaultRoot;
  const suffix = createHash("sha256").update(root).digest("hex").slice(0, 8);
  return {
    root,
    runRoot: resolve(options.runRoot ?? (isDefault ? defaultRunRoot : `${defaultRunRoot}-${suffix}`)),
    bridge: options.bridge ?? (isDefault ? "onggi0" : `onggi${suffix}`),
    cgroupParent: isDefault ? "/onggi" : `/onggi-${suffix}`,
  };
}

/** Makes the directories. @throws OnggiError `denied` naming the one that can't be */
export function makeRoots({ root, runRoot }: Places): void {
  for (const [path, flag] of [
    [root, "--root"],
    [runRoot, "--run-root"],
  ] as const) {
    try {
      makeFolder(path);
      // A read-only file system lets an existing directory pass.
      closeSync(openSync(join(path, ".writable"), "w", 0o600));
    } catch (cause) {
      const hint = isErrno(cause, "ENOSPC")
        ? "The disk is full: free some space."
        : `Run as root, or choose a directory that can be written: ${flag} DIRECTORY.`;
      throw new OnggiError(
        isErrno(cause, "ENOSPC") ? "exhausted" : "denied",
        `directory ${path} can't be written: ${messageOf(cause)}`,
        { cause, hint },
      );
    }
  }
}

/** With those above it. Node's own `recursive` hides why a folder can't be made, and never ends below /proc. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o711 });
  } catch (error) {
    if (isErrno(error, "EEXIST")) return;
    if (!isErrno(error, "ENOENT") || existsSync(dirname(path))) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o711 });
  }
}

/**
 * The lock on a data root: a file that the spawner locks through this very descriptor, so that the kernel lets go of it when the
 * engine and its spawner are both gone.
 */
export class RootLock {
  readonly fd: number;
  readonly #path: string;

  constructor(root: string) {
    this.#path = join(root, "lock");
    this.fd = openSync(this.#path, "a+", 0o600);
  }

  /** Runs what locks; names the holder when it is locked already. A spawner needs a moment to follow an engine that was killed. */
  async hold<T>(root: string, lock: () => Promise<T>): Promise<T> {
    for (const deadline = Date.now() + followMs; ; await sleep(followStepMs)) {
      try {
        const result = await lock();
        this.#nameHolder();
        return result;
      } catch (error) {
        const holder = readFileSync(this.#path, "utf8").trim();
        const isLocked = isOnggiError(error, "in_use");
        if (isLocked && nameOf(holder) === "" && Date.now() < deadline) continue;
        this.close();
        throw isLocked ? inUse(root, holder, error) : error;
      }
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  #nameHolder(): void {
    try {
      ftruncateSync(this.fd);
      writeSync(this.fd, `${process.pid}\n`);
    } catch {
      // A full disk: the lock holds all the same, only its holder isn't named.
    }
  }
}

function inUse(root: string, holder: string, cause: unknown): OnggiError {
  return new OnggiError("in_use", `data root ${root} is in use by process ${holder || "unknown"}${nameOf(holder)}`, {
    cause,
    hint: "One engine at a time has a data root: talk to that one, end it, or choose another with --root.",
  });
}

/** Empty for a process that has ended. */
function nameOf(pid: string): string {
  try {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return commandLine === "" ? "" : ` (${commandLine})`;
  } catch {
    return "";
  }
}
