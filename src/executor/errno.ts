import { getSystemErrorMap } from "node:util";

const known: ReadonlyMap<number, readonly [name: string, sentence: string]> = getSystemErrorMap();

/** Those that Node has no name for, or another than the kernel's manual pages. */
const others: ReadonlyMap<number, readonly [name: string, sentence: string]> = new Map([
  [8, ["ENOEXEC", "exec format error"]],
  [10, ["ECHILD", "no child processes"]],
  [40, ["ELOOP", "too many symbolic links"]],
  [61, ["ENODATA", "no data available"]],
  [74, ["EBADMSG", "bad message"]],
  [95, ["EOPNOTSUPP", "operation not supported"]],
  [117, ["EUCLEAN", "the file system is damaged"]],
  [122, ["EDQUOT", "the disk quota is used up"]],
]);

/** `ENOSPC` for 28; `errno 4711` for a number that has no name. */
export function errnoName(errno: number): string {
  return (others.get(errno) ?? known.get(-errno))?.[0] ?? `errno ${errno}`;
}

/** What an errno says, in lower case: `no space left on device`. */
export function errnoSentence(errno: number): string {
  return (others.get(errno) ?? known.get(-errno))?.[1] ?? `unknown error ${errno}`;
}
