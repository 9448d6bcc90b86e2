import { OnggiError } from "../base/error.ts";
import type { Route } from "./route.ts";
import { apiVersion, minApiVersion } from "./wire.ts";

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface Entry {
  readonly route: Route;
  readonly expression: RegExp;
  readonly names: readonly string[];
}

/** Finds the route of a request. The first that fits wins, in the order they were given. */
export class Router {
  /** By method and first part of the path, so that few expressions are tried. */
  readonly #entries = new Map<string, Entry[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const key = `${route.method} ${firstPart(route.pattern)}`;
      const entries = this.#entries.get(key) ?? [];
      entries.push({ route, ...compilePattern(route.pattern) });
      this.#entries.set(key, entries);
    }
  }

  /**
   * @param path - without the query, with or without a version
   * @throws OnggiError `invalid` for a version that isn't spoken, in Docker's words
   */
  find(method: string, path: string): Match | undefined {
    const plain = withoutVersion(path);
    for (const { route, expression, names } of this.#entries.get(`${method} ${firstPart(plain)}`) ?? []) {
      const found = expression.exec(plain);
      if (found === null) continue;
      const params: Record<string, string> = {};
      names.forEach((name, index) => {
        params[name] = decode(found[index + 1] ?? "");
      });
      return { route, params };
    }
    return undefined;
  }
}

function firstPart(path: string): string {
  const end = path.indexOf("/", 1);
  return end < 0 ? path : path.slice(0, end);
}

function compilePattern(pattern: string): { expression: RegExp; names: readonly string[] } {
  const names: string[] = [];
  const parts = pattern.split("/").map((part) => {
    if (!part.startsWith(":")) return part.replace(/[.]/g, "\\.");
    const takesSlashes = part.endsWith("*");
    names.push(part.slice(1, takesSlashes ? -1 : undefined));
    return takesSlashes ? "(.+)" : "([^/]+)";
  });
  return { expression: new RegExp(`^${parts.join("/")}/?$`), names };
}

function withoutVersion(path: string): string {
  const match = /^\/v(\d+)\.(\d+)(?=\/)/.exec(path);
  if (match === null) return path;
  const [prefix, major, minor] = match;
  const asked = Number(major) * 1000 + Number(minor);
  if (asked > versionNumber(apiVersion)) {
    throw new OnggiError(
      "invalid",
      `client version ${major}.${minor} is too new. Maximum supported API version is ${apiVersion}`,
    );
  }
  if (asked < versionNumber(minApiVersion)) {
    throw new OnggiError(
      "invalid",
      `client version ${major}.${minor} is too old. Minimum supported API version is ${minApiVersion}, please upgrade your client to a newer version`,
    );
  }
  return path.slice(prefix.length);
}

function versionNumber(version: string): number {
  const [major, minor] = version.split(".");
  return Number(major) * 1000 + Number(minor);
}

function decode(part: string): string {
  if (!part.includes("%")) return part;
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new OnggiError("invalid", `invalid URL escape in "${part}"`, { cause });
  }
}
