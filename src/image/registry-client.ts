import { setTimeout as sleep } from "node:timers/promises";
import { OnggiError } from "../base/error.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import { familiarName, familiarReference, type Reference } from "../oci/reference.ts";
import { authorize, parseChallenge, type RegistryLogin } from "./registry-auth.ts";
import { BrokenConnection, type HttpRequest, type HttpResponse, readBody, send } from "./registry-http.ts";

export interface RegistryOptions {
  readonly login?: RegistryLogin | undefined;
  /** May speak plain HTTP, and its certificate isn't checked. */
  readonly insecure: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Waits between tries, in milliseconds; as many tries as waits, and one. */
  readonly retryDelaysMs?: readonly number[];
}

export interface ReceivedManifest {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly mediaType: string;
}

const dockerHub = "registry-1.docker.io";
const maxManifestBytes = 4 << 20;
const maxRetryAfterMs = 60_000;
const defaultRetryDelaysMs = [500, 1000, 2000, 4000];
const acceptedManifests = [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex];

/** One repository of a registry, spoken to by the distribution protocol. */
export class Registry {
  readonly #reference: Reference;
  readonly #options: RegistryOptions;
  readonly #delays: readonly number[];
  #base: Promise<URL> | undefined;
  #authorization: string | undefined;

  constructor(reference: Reference, options: RegistryOptions) {
    this.#reference = reference;
    this.#options = options;
    this.#delays = options.retryDelaysMs ?? defaultRetryDelaysMs;
  }

  /**
   * Fetches a manifest or an index by tag or digest.
   *
   * @throws OnggiError `not_found`, `denied`, `corrupt` when it isn't what its digest names
   */
  async manifest(tagOrDigest: string): Promise<ReceivedManifest> {
    const headers = { accept: acceptedManifests.join(", ") };
    const response = await this.#call("GET", `manifests/${tagOrDigest}`, { headers });
    const bytes = await readBody(response, maxManifestBytes);
    if (response.status !== 200) throw this.#refused("pull", response.status, bytes);
    const digest = digestOf(bytes);
    if (tagOrDigest.startsWith("sha256:") && tagOrDigest !== digest) {
      throw new OnggiError(
        "corrupt",
        `manifest verification failed for digest ${tagOrDigest}: it has the digest ${digest}`,
        {
          hint: "The registry or something on the way to it sends wrong data.",
        },
      );
    }
    return { bytes, digest, mediaType: response.headers["content-type"]?.split(";")[0]?.trim() ?? "" };
  }

  /** Asks the registry whether it takes the login. @throws OnggiError `denied` when it doesn't */
  async checkLogin(): Promise<void> {
    const response = await this.#send({ method: "GET", url: new URL("v2/", await this.#endpoint()) });
    const body = await readBody(response, maxManifestBytes);
    if (response.status !== 200) throw this.#refused("push", response.status, body);
  }

  /** Opens a blob from a byte on; status 200 means from the start whatever was asked, 206 from there. */
  async blob(digest: Digest, offset: number): Promise<HttpResponse> {
    const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const response = await this.#call("GET", `blobs/${digest}`, { headers });
    if (response.status === 200 || response.status === 206) return response;
    throw this.#refused("pull", response.status, await readBody(response, maxManifestBytes), `blob ${digest}`);
  }

  async hasBlob(digest: Digest): Promise<boolean> {
    const response = await this.#call("HEAD", `blobs/${digest}`);
    response.body.resume();
    if (response.status === 200) return true;
    if (response.status === 404) return false;
    throw this.#refused("push", response.status, Buffer.alloc(0));
  }

  /**
   * Takes a blob over from another repository of the same registry, or starts an upload.
   *
   * @returns where to upload to; undefined when the blob is there now
   */
  async mountOrStart(digest: Digest, from?: string): Promise<URL | undefined> {
    const query = from === undefined ? "" : `?${new URLSearchParams({ mount: digest, from })}`;
    const response = await this.#call("POST", `blobs/uploads/${query}`);
    const body = await readBody(response, maxManifestBytes);
    if (response.status === 201 && from !== undefined) return undefined;
    if (response.status !== 202) throw this.#refused("push", response.status, body);
    return this.#uploadLocation(response);
  }

  /** Sends a blob to an upload that was started. */
  async upload(location: URL, digest: Digest, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    const url = new URL(location);
    url.searchParams.set("digest", digest);
    const headers = { "content-type": "application/octet-stream", "content-length": String(size) };
    const response = await this.#send({ method: "PUT", url, headers, body });
    const answer = await readBody(response, maxManifestBytes);
    if (response.status !== 201 && response.status !== 204) throw this.#refused("push", response.status, answer);
  }

  async putManifest(tagOrDigest: string, bytes: Uint8Array, mediaType: string): Promise<void> {
    const response = await this.#call("PUT", `manifests/${tagOrDigest}`, {
      headers: { "content-type": mediaType },
      body: bytes,
    });
    const answer = await readBody(response, maxManifestBytes);
    if (response.status !== 201 && response.status !== 202) throw this.#refused("push", response.status, answer);
  }

  /** Waits before try `attempt` (from 0). @returns false when there have been enough */
  async waitToRetry(attempt: number, afterMs = 0): Promise<boolean> {
    const delay = this.#delays[attempt];
    if (delay === undefined) return false;
    await sleep(Math.max(delay, afterMs), undefined, { signal: this.#options.signal });
    return true;
  }

  /** A request that may be repeated: after broken connections, server errors, and when asked to wait. */
  async #call(
    method: HttpRequest["method"],
    path: string,
    more: { readonly headers?: Record<string, string>; readonly body?: Uint8Array } = {},
  ): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt++) {
      try {
        const url = new URL(`v2/${this.#reference.path}/${path}`, await this.#endpoint());
        const response = await this.#send({ method, url, ...more });
        const isBusy = response.status === 429 || response.status >= 500;
        if (!isBusy || !(await this.waitToRetry(attempt, retryAfterMs(response)))) return response;
        response.body.destroy();
      } catch (error) {
        const mayPass = error instanceof BrokenConnection && !isFinal(error);
        if (!mayPass || !(await this.waitToRetry(attempt))) throw error;
      }
    }
  }

  /** Sends with the authorization there is; a challenge is answered once. A streamed body can't be sent twice. */
  async #send(request: Omit<HttpRequest, "verifyTls" | "signal">): Promise<HttpResponse> {
    const context = { verifyTls: !this.#options.insecure, signal: this.#options.signal };
    const attempt = async () => {
      const authorization = this.#authorization;
      const headers = { ...request.headers, ...(authorization === undefined ? {} : { authorization }) };
      return await send({ ...request, headers, ...context });
    };
    const response = await attempt();
    if (response.status !== 401 || (request.body !== undefined && !(request.body instanceof Uint8Array)))
      return response;
    const challenge = parseChallenge(response.headers["www-authenticate"]);
    const authorization =
      challenge === undefined ? undefined : await authorize(challenge, this.#options.login, context);
    if (authorization === undefined || authorization === this.#authorization) return response;
    response.body.destroy();
    this.#authorization = authorization;
    return await attempt();
  }

  #endpoint(): Promise<URL> {
    this.#base ??= this.#findEndpoint().catch((error: unknown) => {
      this.#base = undefined;
      throw error;
    });
    return this.#base;
  }

  /** Where the registry is: HTTPS, or for an insecure one that doesn't speak TLS, HTTP. */
  async #findEndpoint(): Promise<URL> {
    const { domain } = this.#reference;
    const host = domain === "docker.io" ? dockerHub : domain;
    const secure = new URL(`https://${host}/`);
    if (!this.#options.insecure) return secure;
    const ping = async (base: URL) => {
      const { signal } = this.#options;
      const { body } = await send({ method: "GET", url: new URL("v2/", base), verifyTls: false, signal });
      body.destroy();
      return base;
    };
    try {
      return await ping(secure);
    } catch (error) {
      if (!(error instanceof BrokenConnection)) throw error;
      return await ping(new URL(`http://${host}/`));
    }
  }

  async #uploadLocation(response: HttpResponse): Promise<URL> {
    const location = response.headers.location;
    if (location === undefined) throw new OnggiError("corrupt", "the registry doesn't say where to upload to");
    return new URL(location, await this.#endpoint());
  }

  /** A refusal in Docker's sentences. */
  #refused(action: "pull" | "push", status: number, body: Buffer, what?: string): OnggiError {
    const { code, text } = registryError(body, status);
    const login = { hint: "Check the name; if the repository is private, log in first." };
    if (status === 401 || status === 403 || code === "DENIED" || code === "UNAUTHORIZED") {
      if (action === "push") return new OnggiError("denied", text, login);
      const name = familiarName(this.#reference);
      return new OnggiError(
        "denied",
        `pull access denied for ${name}, repository does not exist or may require 'docker login': ${text}`,
        login,
      );
    }
    if (status === 404 && action === "pull") {
      if (what !== undefined) return new OnggiError("not_found", `the registry lacks ${what}: ${text}`);
      if (code === "NAME_UNKNOWN") {
        return new OnggiError("not_found", `repository ${familiarName(this.#reference)} not found: ${text}`);
      }
      return new OnggiError("not_found", `manifest for ${familiarReference(this.#reference)} not found: ${text}`);
    }
    const hint = status === 429 ? "The registry limits how often it may be asked: log in, or wait." : undefined;
    return new OnggiError(status === 429 || status >= 500 ? "unavailable" : "invalid", text, { hint });
  }
}

/** `manifest unknown: manifest unknown`: the registry's own words, as Docker prints them. */
function registryError(body: Buffer, status: number): { readonly code: string; readonly text: string } {
  const fallback: Readonly<Record<number, { code: string; text: string }>> = {
    401: { code: "UNAUTHORIZED", text: "unauthorized: authentication required" },
    403: { code: "DENIED", text: "denied: requested access to the resource is denied" },
    404: { code: "", text: "manifest unknown: manifest unknown" },
    429: { code: "TOOMANYREQUESTS", text: "toomanyrequests: too many requests" },
  };
  const unknown = fallback[status] ?? { code: "", text: `received unexpected HTTP status: ${status}` };
  try {
    const { errors } = JSON.parse(body.toString("utf8")) as { errors?: { code?: string; message?: string }[] };
    const [first] = errors ?? [];
    if (typeof first?.code !== "string") return unknown;
    const words = first.code.toLowerCase().replaceAll("_", " ");
    return { code: first.code, text: `${words}: ${first.message || words}` };
  } catch {
    return unknown;
  }
}

function retryAfterMs({ headers }: HttpResponse): number {
  const value = headers["retry-after"];
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value ?? "") - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), maxRetryAfterMs) : 0;
}

/** What waiting doesn't mend. */
function isFinal({ reason }: BrokenConnection): boolean {
  return ["ECONNREFUSED", "ENOTFOUND"].includes(reason) || /CERT|SELF_SIGNED|ISSUER|ALTNAME|EPROTO|SSL/.test(reason);
}
