import { createHash } from "node:crypto";
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isErrno } from "../base/errno.ts";
import { isOnggiError, messageOf, OnggiError } from "../base/error.ts";

export const defaultRoot = "/var/lib/onggi";
const defaultRunRoot = "/run/onggi";

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

  /** Runs what locks; names the holder when it is locked already. */
  async hold<T>(root: string, lock: () => Promise<T>): Promise<T> {
    try {
      const result = await lock();
      ftruncateSync(this.fd);
      writeSync(this.fd, `${process.pid}\n`);
      return result;
    } catch (error) {
      const holder = readFileSync(this.#path, "utf8").trim();
      this.close();
      if (!isOnggiError(error, "in_use")) throw error;
      throw new OnggiError("in_use", `data root ${root} is in use by process ${holder || "unknown"}${nameOf(holder)}`, {
        cause: error,
        hint: "One engine at a time has a data root: talk to that one, end it, or choose another with --root.",
      });
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

function nameOf(pid: string): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()})`;
  } catch {
    return "";
  }
}
