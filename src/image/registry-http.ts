import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf, OnggiError } from "../base/error.ts";
import { isLoopback } from "./loopback.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream goes with a `content-length` header. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** False lets any certificate pass: for registries that the user named insecure. */
  readonly verifyTls: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Must be read or destroyed. */
  readonly body: IncomingMessage;
}

/** Go through the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name. */
const proxied = {
  http: new HttpAgent({ keepAlive: true, proxyEnv: process.env }),
  https: new HttpsAgent({ keepAlive: true, proxyEnv: process.env }),
};

const idleTimeoutMs = 60_000;
const maxRedirects = 8;
const userAgent = "onggi";

/**
 * Sends one request; GET and HEAD follow redirects, without the authorization where they lead to another host.
 *
 * @throws OnggiError `unavailable` when there is no answer
 */
export async function send(request: HttpRequest): Promise<HttpResponse> {
  let current = request;
  for (let redirects = 0; ; redirects++) {
    const response = await sendOnce(current);
    const location = response.headers.location;
    const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== undefined;
    if (!isRedirect || (request.method !== "GET" && request.method !== "HEAD")) return response;
    response.body.destroy();
    if (redirects === maxRedirects) throw new OnggiError("unavailable", `${request.url.host} redirects in a circle`);
    const url = new URL(location, current.url);
    if (current.url.protocol === "https:" && url.protocol !== "https:" && current.verifyTls) {
      throw new OnggiError("unavailable", `${current.url.host} redirects from https to ${url.protocol}//${url.host}`);
    }
    const { authorization, ...others } = current.headers ?? {};
    const keep = url.host === current.url.host && authorization !== undefined;
    current = { ...current, url, headers: keep ? { ...others, authorization } : others };
  }
}

/** Reads a small answer whole. @throws OnggiError `corrupt` when it is larger */
export async function readBody({ body }: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw new OnggiError("corrupt", `the registry's answer has more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof OnggiError
      ? error
      : new BrokenConnection(`the registry broke off: ${messageOf(error)}`, error);
  }
  return Buffer.concat(chunks);
}

/** A connection that couldn't be made or broke: trying again may help. */
export class BrokenConnection extends OnggiError {
  /** Node's or OpenSSL's code, such as `ECONNREFUSED`. */
  readonly reason: string;

  constructor(message: string, cause: unknown, hint?: string) {
    super("unavailable", message, { cause, hint });
    this.reason = (cause as { code?: string } | undefined)?.code ?? "";
  }
}

async function sendOnce({ method, url, headers, body, verifyTls, signal }: HttpRequest): Promise<HttpResponse> {
  signal?.throwIfAborted();
  const isTls = url.protocol === "https:";
  const options: RequestOptions & { rejectUnauthorized?: boolean } = {
    method,
    headers: { "user-agent": userAgent, ...lengthOf(body, method), ...headers },
    timeout: idleTimeoutMs,
    ...(isTls ? { rejectUnauthorized: verifyTls } : {}),
    ...(isLoopback(url.host) ? {} : { agent: isTls ? proxied.https : proxied.http }),
    ...(signal === undefined ? {} : { signal }),
  };
  const outgoing = isTls ? httpsRequest(url, options) : httpRequest(url, options);
  outgoing.on("timeout", () => outgoing.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("response", resolve);
    outgoing.on("error", reject);
  });
  const sent = sendBody(outgoing, body);
  try {
    const response = await Promise.race([answered, sent.then(() => answered)]);
    sent.catch(() => {}); // an answer that came before the whole body was sent is what counts
    return { status: response.statusCode ?? 0, headers: response.headers, body: response };
  } catch (error) {
    answered.catch(() => {});
    sent.catch(() => {});
    outgoing.destroy();
    signal?.throwIfAborted();
    if (error instanceof OnggiError) throw error;
    throw connectionError(method, url, error);
  }
}

async function sendBody(outgoing: ClientRequest, body: HttpRequest["body"]): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) {
    outgoing.end(body);
    return;
  }
  await pipeline(Readable.from(body, { objectMode: false }), outgoing);
}

function lengthOf(body: HttpRequest["body"], method: string): Record<string, string> {
  if (body instanceof Uint8Array) return { "content-length": String(body.length) };
  return body === undefined && method !== "GET" && method !== "HEAD" ? { "content-length": "0" } : {};
}

/** What went wrong, in the words of Docker's (that is Go's) errors, and what to do about it. */
function connectionError(method: string, url: URL, error: unknown): BrokenConnection {
  const { code = "", address, port } = error as { code?: string; address?: string; port?: number };
  const verb = method.slice(0, 1) + method.slice(1).toLowerCase();
  const what = `${verb} "${url.href}"`;
  const peer = address === undefined ? url.host : `${address}:${port}`;
  const causes: Readonly<Record<string, readonly [text: string, hint: string]>> = {
    ECONNREFUSED: [
      `dial tcp ${peer}: connect: connection refused`,
      `Nothing listens there: is the registry ${url.host} running?`,
    ],
    ENOTFOUND: [`dial tcp: lookup ${url.hostname}: no such host`, "Check the registry's name and the host's DNS."],
    EAI_AGAIN: [`dial tcp: lookup ${url.hostname}: no answer from DNS`, "Check the host's network and DNS."],
    ENETUNREACH: [`dial tcp ${peer}: connect: network is unreachable`, "Check the host's network."],
    EHOSTUNREACH: [`dial tcp ${peer}: connect: no route to host`, "Check the host's network."],
    ETIMEDOUT: ["net/http: request canceled (the registry doesn't answer)", "Try again later."],
  };
  const known = causes[code];
  if (known !== undefined) return new BrokenConnection(`${what}: ${known[0]}`, error, known[1]);
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(code)) {
    const hint = "Install the registry's CA on this host, or name the registry as insecure.";
    return new BrokenConnection(`${what}: tls: failed to verify certificate: ${messageOf(error)}`, error, hint);
  }
  return new BrokenConnection(
    `${what}: ${messageOf(error)}`,
    error,
    "Try again; if it stays so, ask who runs the registry.",
  );
}
