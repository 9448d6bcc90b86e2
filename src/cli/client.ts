import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { ErrorBody } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { http } from "./builtin.ts";
import { readLines } from "./lines.ts";
import { withSocketPath } from "./socket-address.ts";

/** One request of the API. */
export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** Sent as JSON, or as it is where it streams. */
  readonly body?: unknown;
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** A connection taken over from HTTP: both directions are the container's. */
export interface Hijacked {
  readonly socket: Socket;
  /** What came along with the answer's header. */
  readonly head: Buffer;
}

/** An answer that says no: told as Docker tells it, the daemon's own words first. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  readonly status: number;
  readonly hint: string | undefined;

  constructor(status: number, message: string, hint?: string) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

export interface ClientOptions {
  readonly socketPath: string;
  /** Called once when nobody answers; the call is then made again. */
  readonly startDaemon?: (() => Promise<void>) | undefined;
}

// An empty server name keeps Node from working one out for TLS, which takes 3 ms.
const agentOptions = { keepAlive: true, servername: "" };

/** Speaks HTTP to the daemon over its unix socket; connections are kept for the next call. */
export class Client {
  readonly #agent: Agent = new http.Agent(agentOptions);
  readonly #socketPath: string;
  #startDaemon: (() => Promise<void>) | undefined;

  constructor({ socketPath, startDaemon }: ClientOptions) {
    this.#socketPath = socketPath;
    this.#startDaemon = startDaemon;
  }

  /** The answer once its header is there, its body unread; throws DaemonError for a status of 400 or more. */
  async open(call: Call): Promise<IncomingMessage> {
    const answer = await this.#send(call);
    if ((answer.statusCode ?? 0) >= 400) throw await daemonError(answer);
    return answer;
  }

  /** The body as JSON; undefined for an empty one. */
  async json<T>(call: Call): Promise<T> {
    // What the daemon sends is described by the wire's types; it isn't checked again here.
    return parseBody(await readAll(await this.open(call))) as T;
  }

  /** The status alone, the body read and dropped. */
  async status(call: Call): Promise<number> {
    const answer = await this.open(call);
    answer.resume();
    return answer.statusCode ?? 0;
  }

  /** One JSON value a line, as they come. */
  async *lines<T>(call: Call): AsyncGenerator<T> {
    const answer = await this.open(call);
    for await (const line of readLines(answer)) yield JSON.parse(line) as T;
  }

  /** Takes over a connection: what Docker calls hijacking. */
  async hijack(call: Call): Promise<Hijacked> {
    const headers = { ...call.headers, Connection: "Upgrade", Upgrade: "tcp" };
    const answer = await this.#send({ ...call, headers });
    const hijacked = hijackedBy.get(answer);
    if (hijacked !== undefined) return hijacked;
    if ((answer.statusCode ?? 0) >= 400) throw await daemonError(answer);
    throw new OnggiError("unavailable", `the daemon answered ${answer.statusCode} instead of switching protocols`);
  }

  async #send(call: Call): Promise<IncomingMessage> {
    try {
      return await this.#trySend(call);
    } catch (error) {
      if (isStaleConnection(error)) return await this.#trySend(call);
      if (!isNobodyThere(error)) throw this.#unreachable(error);
      const start = this.#startDaemon;
      if (start === undefined) throw this.#unreachable(error);
      this.#startDaemon = undefined;
      await start();
      return await this.#trySend(call);
    }
  }

  #trySend(call: Call): Promise<IncomingMessage> {
    return withSocketPath(
      this.#socketPath,
      (socketPath) =>
        new Promise((resolve, reject) => {
          const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
          const request = http.request({
            socketPath,
            method: call.method,
            path: call.path + queryText(call.query),
            agent: this.#agent,
            headers: {
              Host: "onggi",
              ...(body === undefined ? {} : { "Content-Type": "application/json", "Content-Length": body.length }),
              ...(call.stream === undefined ? {} : { "Content-Type": "application/x-tar" }),
              ...(body === undefined && call.stream === undefined && call.method === "POST"
                ? { "Content-Length": 0 }
                : {}),
              ...call.headers,
            },
            ...(call.signal === undefined ? {} : { signal: call.signal }),
          });
          request.on("error", (error) => reject(Object.assign(error, { reusedSocket: request.reusedSocket })));
          request.on("response", resolve);
          request.on("upgrade", (answer, socket, head) => {
            hijackedBy.set(answer, { socket: socket as Socket, head });
            resolve(answer);
          });
          sendBody(request, body, call.stream, reject);
        }),
    );
  }

  #unreachable(cause: unknown): unknown {
    const code = errorCode(cause);
    if (code === undefined) return cause;
    if (cause instanceof Error && cause.name === "AbortError") return cause;
    const reasons: Readonly<Record<string, readonly [string, string]>> = {
      ENOENT: [
        "there is no such socket",
        "Start the daemon with 'onggi daemon', or name its socket with -H or ONGGI_HOST.",
      ],
      ECONNREFUSED: [
        "nobody listens there",
        "Start the daemon with 'onggi daemon', or name its socket with -H or ONGGI_HOST.",
      ],
      EACCES: ["permission denied", "Run this as root."],
      ENOTDIR: ["its folder is not a folder", "Name the daemon's socket with -H or ONGGI_HOST."],
      ECONNRESET: ["the daemon closed the connection", "Its log tells why."],
      EPIPE: ["the daemon closed the connection", "Its log tells why."],
    };
    const [reason, hint] = reasons[code] ?? [code, undefined];
    return new OnggiError("unavailable", `cannot connect to the daemon at unix://${this.#socketPath}: ${reason}`, {
      hint,
      cause,
    });
  }
}

const hijackedBy = new WeakMap<IncomingMessage, Hijacked>();

function sendBody(
  request: ClientRequest,
  body: Buffer | undefined,
  stream: Readable | undefined,
  reject: (error: unknown) => void,
): void {
  if (stream === undefined) {
    request.end(body);
    return;
  }
  stream.on("error", (error) => {
    request.destroy();
    reject(error);
  });
  stream.pipe(request);
}

function isNobodyThere(error: unknown): boolean {
  return ["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes(errorCode(error) ?? "");
}

/** The daemon closed an idle connection just when it was to be used again. */
function isStaleConnection(error: unknown): boolean {
  return (
    errorCode(error) === "ECONNRESET" &&
    error instanceof Error &&
    "reusedSocket" in error &&
    error.reusedSocket === true
  );
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function queryText(query: Call["query"] = {}): string {
  const parts = Object.entries(query).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const values = typeof value === "object" ? value : [value === true ? "1" : value === false ? "0" : String(value)];
    return values.map((one) => `${key}=${encodeURIComponent(one)}`);
  });
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

async function daemonError(answer: IncomingMessage): Promise<DaemonError> {
  const text = (await readAll(answer)).toString();
  const status = answer.statusCode ?? 500;
  try {
    const { message, sentence, hint } = JSON.parse(text) as Partial<ErrorBody>;
    return new DaemonError(status, sentence ?? message ?? text, hint);
  } catch {
    return new DaemonError(status, text.trim() || `the daemon answered ${status}`);
  }
}

export async function readAll(answer: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parseBody(body: Buffer): unknown {
  return body.length === 0 ? undefined : JSON.parse(body.toString());
}
