import { basename, dirname } from "node:path";
import { OnggiError } from "../base/error.ts";
import { fs } from "./builtin.ts";

export const defaultHost = "unix:///run/onggi/api.sock";

/** Bytes of `sun_path`, less its closing zero: unix(7). */
const maxSocketPath = 107;

/** The path of `unix:///path` or of a plain absolute path; throws `unsupported` for other kinds of hosts. */
export function parseHost(host: string): string {
  const path = host.startsWith("unix://") ? host.slice("unix://".length) : host;
  if (path.startsWith("/")) return path;
  throw new OnggiError("unsupported", `can't reach the daemon at "${host}"`, {
    hint: "Onggi listens on a unix socket only: give -H unix:///PATH.",
  });
}

/**
 * Calls `use` with a name of the socket that is short enough for the kernel.
 *
 * A longer path is reached over its opened folder in /proc/self/fd; the folder stays open until `use` is done.
 */
export async function withSocketPath<T>(path: string, use: (path: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= maxSocketPath) return await use(path);
  const folder = fs.openSync(dirname(path), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    return await use(`/proc/self/fd/${folder}/${basename(path)}`);
  } finally {
    fs.closeSync(folder);
  }
}
