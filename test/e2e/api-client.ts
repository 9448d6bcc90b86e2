/** Speaks HTTP to a daemon's socket as other programs do: requests that end in time, and streams. */
import { type ClientRequest, type IncomingMessage, request } from "node:http";

const timeoutMs = 20_000;

export interface ApiAnswer {
  /** 0: the connection broke off before the answer was whole. */
  readonly status: number;
  readonly body: Buffer;
}

export class ApiClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Rejects only when it takes too long: a daemon that is killed gives no answer, which is an answer, too. */
  async call(method: string, path: string, body?: object): Promise<ApiAnswer> {
    const chunks: Buffer[] = [];
    try {
      const response = await answerTo(this.#request(method, path, body));
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) };
    } catch (error) {
      if (error instanceof TimeLimit) throw error;
      return { status: 0, body: Buffer.concat(chunks) };
    }
  }

  /** The JSON of an answer, which must be a good one. */
  async json<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.call(method, path, body);
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${path}: status ${answer.status}: ${answer.body.toString()}`);
    return JSON.parse(answer.body.toString()) as T;
  }

  /** The answer as it comes; destroy it to end. */
  stream(method: string, path: string): Promise<IncomingMessage> {
    return answerTo(this.#request(method, path));
  }

  /** What a container printed, or an exec: the frames of a multiplexed stream joined. */
  async output(path: string, method = "GET", body?: object): Promise<string> {
    const answer = await this.call(method, path, body);
    if (answer.status !== 200) throw new Error(`${method} ${path}: status ${answer.status}: ${answer.body.toString()}`);
    return joinFrames(answer.body);
  }

  #request(method: string, path: string, body?: object): ClientRequest {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const outgoing = request({
      socketPath: this.#socketPath,
      method,
      path: `/v1.47${path}`,
      headers:
        payload === undefined ? {} : { "Content-Type": "application/json", "Content-Length": String(payload.length) },
      agent: false,
    });
    const limit = new TimeLimit(`${method} ${path} took over ${timeoutMs} ms`);
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(limit));
    outgoing.end(payload);
    return outgoing;
  }
}

class TimeLimit extends Error {}

function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", reject);
  });
}

/** Docker's framing: stream, three zeros, u32 length in network order, data. */
export function joinFrames(bytes: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    parts.push(bytes.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(parts).toString();
}
