import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { OnggiError } from "../base/error.ts";
import { Query } from "./query.ts";
import type { Call } from "./route.ts";

/** More than any request but an archive needs; a seccomp profile travels in one. */
const maxBodyBytes = 16 * 1024 * 1024;

/** A request as handlers see it. What costs something is made when it is asked for. */
export class Request implements Call {
  readonly method: string;
  readonly path: string;
  params: Readonly<Record<string, string>> = {};
  readonly headers: IncomingHttpHeaders;
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #queryText: string;
  #query: Query | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;

  constructor(message: IncomingMessage) {
    const url = message.url ?? "/";
    const at = url.indexOf("?");
    this.method = message.method ?? "GET";
    this.path = at < 0 ? url : url.slice(0, at);
    this.#queryText = at < 0 ? "" : url.slice(at + 1);
    this.headers = message.headers;
    this.#body = message;
  }

  get query(): Query {
    this.#query ??= new Query(this.#queryText);
    return this.#query;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get isAborted(): boolean {
    return this.#abortReason !== undefined;
  }

  abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(this.#abortReason);
  }

  get stream(): AsyncIterable<Uint8Array> {
    return this.#body;
  }

  async json<T extends object>(): Promise<Partial<T>> {
    const text = (await readWhole(this.#body)).toString();
    // `null` is what Go's clients send for a config that isn't there.
    if (text.trim() === "" || text.trim() === "null") return {};
    const value = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new OnggiError("invalid", "invalid JSON: the body must be an object");
    }
    return value as Partial<T>;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new OnggiError("invalid", `invalid JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

async function readWhole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBodyBytes) throw new OnggiError("invalid", `the body is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
