import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiServer } from "../server.ts";
import { FakeEngine } from "./fake-engine.ts";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON, as a test expects it. */
  json<T>(): T;
}

export interface ServedEngine extends AsyncDisposable {
  readonly engine: FakeEngine;
  readonly server: ApiServer;
  readonly socketPath: string;
  /** Lines that defects left. */
  readonly logged: readonly string[];
  call(methodAndPath: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** A bare connection. */
  connect(): Socket;
}

/** Serves a fake engine on a socket of its own. */
export async function serveFake(engine: FakeEngine = new FakeEngine()): Promise<ServedEngine> {
  const folder = mkdtempSync(join(tmpdir(), "onggi-api-"));
  const socketPath = join(folder, "api.sock");
  const logged: string[] = [];
  const server = new ApiServer(engine, { version: "0.1.0", log: (line) => logged.push(line) });
  await server.listen({ path: socketPath });
  return {
    engine,
    server,
    socketPath,
    logged,
    call: (methodAndPath, body, headers) => call(socketPath, methodAndPath, body, headers),
    connect: () => connect({ path: socketPath, allowHalfOpen: true }),
    async [Symbol.asyncDispose]() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function call(
  socketPath: string,
  methodAndPath: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const [method = "GET", path = "/"] = methodAndPath.split(" ");
  const data = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath,
        method,
        path,
        headers: { ...(data === undefined ? {} : { "Content-Length": data.length }), ...headers },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, json: () => JSON.parse(text) });
        });
      },
    );
    sent.on("error", reject);
    sent.end(data);
  });
}
