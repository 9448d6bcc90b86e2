import { OnggiError } from "../base/error.ts";
import { parseJson } from "../oci/manifest.ts";
import { readBody, send } from "./registry-http.ts";

export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
}

/** What a registry's `WWW-Authenticate` asks for. */
export interface Challenge {
  readonly scheme: "basic" | "bearer";
  readonly parameters: ReadonlyMap<string, string>;
}

/** Reads the first challenge that is understood; undefined when none is. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const match = /(?:^|,)\s*(basic|bearer)\s*(.*)$/i.exec(header ?? "");
  if (match === null) return undefined;
  const parameters = new Map<string, string>();
  for (const [, key = "", quoted, bare] of (match[2] ?? "").matchAll(
    /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi,
  )) {
    parameters.set(key.toLowerCase(), quoted?.replaceAll(/\\(.)/g, "$1") ?? bare ?? "");
  }
  return { scheme: match[1]?.toLowerCase() === "basic" ? "basic" : "bearer", parameters };
}

/**
 * The `Authorization` that answers a challenge.
 *
 * @returns undefined when it asks for a login and none was given
 * @throws OnggiError `denied` when the token server refuses the login
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function authorize(
  { scheme, parameters }: Challenge,
  login: RegistryLogin | undefined,
  options: { readonly verifyTls: boolean; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  if (scheme === "basic") return login === undefined ? undefined : basic(login);
  const url = tokenUrl(parameters);
  const headers: Record<string, string> = login === undefined ? {} : { authorization: basic(login) };
  const response = await send({ method: "GET", url, headers, ...options });
  const body = await readBody(response, 1 << 20);
  if (response.status !== 200) {
    const isRefused = response.status === 401 || response.status === 403;
    throw new OnggiError(
      isRefused ? "denied" : "unavailable",
      isRefused
        ? `unauthorized: ${url.host} refuses ${login === undefined ? "a token without a login" : `the login of ${login.username}`}`
        : `the token server ${url.host} answers with status ${response.status}`,
      { hint: isRefused ? "Check user name and password, and log in." : "Try again later." },
    );
  }
  const { token, access_token } = parseJson(body, `the answer of ${url.host}`) as Record<string, unknown>;
  const found = token || access_token;
  if (typeof found !== "string") throw new OnggiError("corrupt", `the token server ${url.host} sent no token`);
  return `Bearer ${found}`;
}

function tokenUrl(parameters: Challenge["parameters"]): URL {
  const realm = parameters.get("realm") ?? "";
  if (!URL.canParse(realm) || !/^https?:/.test(realm)) {
    throw new OnggiError("corrupt", `the registry names no usable token server: "${realm}"`);
  }
  const url = new URL(realm);
  const service = parameters.get("service");
  if (service !== undefined) url.searchParams.set("service", service);
  for (const scope of parameters.get("scope")?.split(" ") ?? []) url.searchParams.append("scope", scope);
  return url;
}

function basic({ username, password }: RegistryLogin): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
