import { OnggiError } from "../base/error.ts";

/** What `--filter` sends: each name with the values that were given for it. */
export function filterQuery(filters: readonly string[]): string | undefined {
  if (filters.length === 0) return undefined;
  const query: Record<string, Record<string, true>> = {};
  for (const filter of filters) {
    const at = filter.indexOf("=");
    if (at < 0) throw new OnggiError("invalid", `bad format of filter (expected name=value): "${filter}"`);
    const name = filter.slice(0, at).trim().toLowerCase();
    query[name] = { ...query[name], [filter.slice(at + 1).trim()]: true };
  }
  return JSON.stringify(query);
}
