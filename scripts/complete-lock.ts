/**
 * Adds to package-lock.json the optional packages of other platforms that npm left out.
 *
 * A registry mirror may hold only its own platform's binaries. npm then writes a lock without the others, which its
 * `npm ci` refuses. They are never fetched here, so that their names and versions are enough. Run after `npm install X`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface LockedPackage {
  version: string;
  optionalDependencies?: Record<string, string>;
  [field: string]: unknown;
}

const path = join(import.meta.dirname, "../package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8")) as { packages: Record<string, LockedPackage> };

/** What npm would have written of a package named for its platform, such as `binding-linux-x64-musl`. */
function entryFor(name: string, version: string, dev: unknown): LockedPackage {
  const [, os = "", cpu = "", abi = ""] =
    /-?(android|darwin|freebsd|linux|openharmony|wasm32|win32)-([a-z0-9]+)-?(\w*)$/.exec(name) ?? [];
  if (os === "") throw new Error(`package ${name} is missing from the lock and isn't named for a platform`);
  const libc = { gnu: ["glibc"], musl: ["musl"] }[abi];
  return {
    version,
    cpu: [os === "wasm32" ? os : cpu],
    ...(dev === true && { dev: true }),
    ...(libc && { libc }),
    optional: true,
    ...(os !== "wasm32" && { os: [os] }),
  };
}

const missing = Object.values(lock.packages).flatMap(({ optionalDependencies = {}, dev }) =>
  Object.entries(optionalDependencies)
    .filter(([name]) => lock.packages[`node_modules/${name}`] === undefined)
    .map(([name, version]) => [`node_modules/${name}`, entryFor(name, version, dev)] as const),
);
const sorted = [...Object.entries(lock.packages), ...missing].sort(([a], [b]) => a.localeCompare(b, "en"));
lock.packages = Object.fromEntries(sorted);
if (missing.length > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
for (const [name] of missing) process.stdout.write(`added ${name}\n`);
