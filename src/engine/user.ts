import { OnggiError } from "../base/error.ts";

/** Who a process runs as, as numbers. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

/** The text of `/etc/passwd` and `/etc/group` of the container; "" where there is none. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

const maxId = 2 ** 31 - 1;

/**
 * Resolves `user`, `uid`, `user:group` or `uid:gid` by a container's own account files, as Docker does: a number needs no entry,
 * a name does; without a group the user's groups are the entry's own and all that list the user's name.
 *
 * @param added - `--group-add`: names or numbers
 * @throws OnggiError `invalid` for a name that isn't there
 * @see passwd(5), group(5)
 */
export function resolveUser(user: string, files: AccountFiles, added: readonly string[] = []): ResolvedUser {
  const [userPart = "", groupPart] = user.split(":", 2);
  const wanted = userPart === "" ? "0" : userPart;
  const entries = parseRows(files.passwd, 7);
  const number = parseId(wanted, "user");
  const entry =
    entries.find((row) => row[0] === wanted) ??
    entries.find((row) => number !== undefined && Number(row[2]) === number);
  if (entry === undefined && number === undefined) {
    throw new OnggiError("invalid", `unable to find user ${wanted}: no matching entries in passwd file`, {
      hint: "Name a user that the image has, or a number.",
    });
  }
  const groups = parseRows(files.group, 4);
  const ids = (names: readonly string[]) => names.map((name) => groupId(name, groups));
  const own = groupPart === undefined || groupPart === "" ? Number(entry?.[3] ?? 0) : groupId(groupPart, groups);
  const listed = groupPart === undefined || groupPart === "" ? membershipsOf(entry?.[0], groups) : [];
  return {
    uid: Number(entry?.[2] ?? number),
    gid: own,
    groups: [...new Set([...listed, ...ids(added)])],
    home: entry?.[5] || "/",
  };
}

function parseRows(text: string, fields: number): string[][] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"))
    .filter((row) => row.length >= Math.min(fields, 4) - 1);
}

function membershipsOf(name: string | undefined, groups: readonly string[][]): number[] {
  if (name === undefined) return [];
  return groups.filter((row) => (row[3] ?? "").split(",").includes(name)).map((row) => Number(row[2]));
}

function groupId(name: string, groups: readonly string[][]): number {
  const entry = groups.find((row) => row[0] === name);
  const id = entry === undefined ? parseId(name, "group") : Number(entry[2]);
  if (id === undefined) {
    throw new OnggiError("invalid", `unable to find group ${name}: no matching entries in group file`, {
      hint: "Name a group that the image has, or a number.",
    });
  }
  return id;
}

function parseId(text: string, what: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > maxId)
    throw new OnggiError("invalid", `${what} id ${text} is out of range`, { hint: `Ids go from 0 to ${maxId}.` });
  return id;
}
