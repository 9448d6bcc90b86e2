import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { Input, Io, Output } from "./io.ts";

/** A request that the fake was sent. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

export interface Answer {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string | Buffer;
  /** The header goes at once, the body when this resolves. */
  readonly later?: Promise<unknown>;
  /** Switches protocols and hands over the connection. */
  readonly hijack?: (socket: Socket) => void;
}

/** `"POST /containers/create"`, or with a path ending in `*`; the newest that fits answers. */
export type Script = Readonly<Record<string, (asked: Asked) => Answer>>;

export interface FakeDaemon {
  readonly socketPath: string;
  readonly asked: readonly Asked[];
}

/** Runs a daemon for a test of the command line: it answers by a script and remembers what it was asked. */
export async function withFakeDaemon<T>(script: Script, use: (daemon: FakeDaemon) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "onggi-cli-"));
  const socketPath = join(folder, "api.sock");
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();

  const take = (request: IncomingMessage, body: string): Answer => {
    const url = new URL(request.url ?? "", "http://fake");
    const one: Asked = {
      method: request.method ?? "",
      path: decodeURIComponent(url.pathname),
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body: body === "" ? undefined : parsed(body),
    };
    asked.push(one);
    const name = `${one.method} ${one.path}`;
    const key = Object.keys(script).find((pattern) =>
      pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
    );
    return key === undefined
      ? { status: 404, json: { message: `fake: nothing at ${name}` } }
      : (script[key]?.(one) ?? {});
  };

  const server = createServer(async (request, response) => {
    const answer = take(request, await textOf(request));
    response.statusCode = answer.status ?? (answer.json === undefined && answer.text === undefined ? 204 : 200);
    if (answer.later !== undefined) {
      response.statusCode = 200;
      response.flushHeaders();
      response.end(JSON.stringify(await answer.later));
    } else {
      response.end(answer.text ?? (answer.json === undefined ? undefined : JSON.stringify(answer.json)));
    }
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    // Node leaves the body of an upgrade in `head`: the fake expects it to come along in one piece.
    const answer = take(request, head.toString());
    if (answer.hijack === undefined) {
      const text = JSON.stringify(answer.json ?? {});
      socket.end(`HTTP/1.1 ${answer.status ?? 500} No\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
      return;
    }
    socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    answer.hijack(socket);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));

  try {
    return await use({ socketPath, asked });
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One frame of Docker's multiplexed stream. */
export function frame(stream: 1 | 2 | 3, text: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(stream, 0);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

/** Streams that a test fills and reads. */
export function fakeIo({ tty = false, env = {} }: { tty?: boolean; env?: Record<string, string> } = {}) {
  const stdin = new PassThrough();
  const raw: boolean[] = [];
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const texts = { out: "", err: "" };
  stdout.on("data", (chunk: Buffer) => {
    texts.out += chunk.toString();
  });
  stderr.on("data", (chunk: Buffer) => {
    texts.err += chunk.toString();
  });
  const size = tty ? { isTTY: true, rows: 24, columns: 80 } : {};
  const io: Io = {
    stdin: Object.assign(stdin, { isTTY: tty, setRawMode: (on: boolean) => raw.push(on) }) satisfies Input,
    stdout: Object.assign(stdout, size) satisfies Output,
    stderr: stderr satisfies Output,
    env,
  };
  return { io, stdin, raw, texts };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
