import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Reference } from "../oci/reference.ts";
import { errorCode } from "./client.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** As Docker keeps it: `auth` is `user:password` in base64. */
interface ConfigFile {
  readonly auths?: Readonly<Record<string, { readonly auth?: string }>>;
  readonly detachKeys?: string;
  readonly [other: string]: unknown;
}

/** Under this name Docker Hub's credentials are kept. */
export const dockerHub = "https://index.docker.io/v1/";

/** A registry's name as credentials are kept under it: without scheme and path. */
export function registryKey(server: string | undefined): string {
  const host = (server ?? "").replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "" || host === "docker.io" || host === "index.docker.io" ? dockerHub : host;
}

/** Credentials for a registry: from Onggi's own file, else from Docker's. */
export function readCredentials(registry: string, environment: Environment): Credentials | undefined {
  for (const path of configPaths(environment)) {
    const auths = readConfig(path).auths ?? {};
    const key = [registry, ...aliasesOf(registry)].find((name) => auths[name]?.auth);
    const [username, password] = splitOnce(Buffer.from((key && auths[key]?.auth) ?? "", "base64").toString());
    if (username !== "") return { username, password };
  }
  return undefined;
}

/** Keeps credentials in Onggi's own file, readable by its owner only. */
export function writeCredentials(
  registry: string,
  { username, password }: Credentials,
  environment: Environment,
): string {
  const [path] = configPaths(environment);
  const config = readConfig(path);
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  writeConfig(path, { ...config, auths: { ...config.auths, [registry]: { auth } } });
  return path;
}

/** False when there were none. */
export function removeCredentials(registry: string, environment: Environment): boolean {
  const [path] = configPaths(environment);
  const config = readConfig(path);
  if (config.auths?.[registry] === undefined) return false;
  const { [registry]: _, ...auths } = config.auths;
  writeConfig(path, { ...config, auths });
  return true;
}

/** The header by which the daemon is handed credentials; nothing where none are known. */
export function authHeader(reference: Reference, environment: Environment): Readonly<Record<string, string>> {
  const registry = reference.domain === "docker.io" ? dockerHub : reference.domain;
  const credentials = readCredentials(registry, environment);
  const value = credentials === undefined ? {} : { ...credentials, serveraddress: registry };
  return { "X-Registry-Auth": Buffer.from(JSON.stringify(value)).toString("base64url") };
}

/** The first is Onggi's own, which is written; the others are only read. */
function configPaths(environment: Environment): readonly [string, ...string[]] {
  const home = environment.HOME || homedir();
  const docker = environment.DOCKER_CONFIG || join(home, ".docker");
  return [join(environment.ONGGI_CONFIG || join(home, ".onggi"), "config.json"), join(docker, "config.json")];
}

function aliasesOf(registry: string): readonly string[] {
  return [
    `https://${registry}`,
    `https://${registry}/`,
    `http://${registry}`,
    `https://${registry}/v1/`,
    `https://${registry}/v2/`,
  ];
}

function readConfig(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "EACCES", "ENOTDIR"].includes(errorCode(error) ?? "")) return {};
    throw error;
  }
  try {
    // Written by us or by Docker; fields that have another shape are treated as missing where they are read.
    return JSON.parse(text) as ConfigFile;
  } catch (cause) {
    throw new OnggiError("corrupt", `${path} is not JSON`, { hint: "Mend it or remove it, then log in again.", cause });
  }
}

function writeConfig(path: string, config: ConfigFile): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(":");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
