import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { EngineFace } from "../engine/engine.ts";
import { endGently, upgradedConnection } from "./connection.ts";
import { errorAnswer, isDefect } from "./http-error.ts";
import { listenOn, type UnixHost } from "./listen.ts";
import { Request } from "./request.ts";
import { respond } from "./respond.ts";
import type { Answer } from "./route.ts";
import { Router } from "./router.ts";
import { routes } from "./routes.ts";
import { apiVersion } from "./wire.ts";

/** How long requests in progress have for their last words when the daemon closes. */
const lastWordsMs = 1000;

export interface ApiServerOptions {
  /** Onggi's own version, for the `Server` header. */
  readonly version: string;
  /** Takes one line for each defect. */
  readonly log: (line: string) => void;
}

/** Serves the API on any number of unix sockets. */
export class ApiServer {
  readonly #engine: EngineFace;
  readonly #log: (line: string) => void;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #router = new Router(routes);
  readonly #servers: Server[] = [];
  readonly #active = new Set<Request>();
  readonly #upgraded = new Set<Duplex>();

  constructor(engine: EngineFace, { version, log }: ApiServerOptions) {
    this.#engine = engine;
    this.#log = log;
    this.#headers = {
      "Api-Version": apiVersion,
      "Docker-Experimental": "false",
      Ostype: "linux",
      Server: `Onggi/${version} (linux)`,
    };
  }

  /** @throws OnggiError `in_use` when somebody answers on the socket already */
  async listen(host: UnixHost): Promise<void> {
    // No time limits: a wait or a log that is followed may last for months, and idle connections belong to local clients.
    const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0, noDelay: true });
    server.timeout = 0;
    server.on("request", (message, response) => void this.#onRequest(message, response));
    server.on("upgrade", (message, socket, head) => void this.#onUpgrade(message, socket, head));
    server.on("clientError", (_error, socket) => refuseGarbage(socket));
    await listenOn(server, host);
    this.#servers.push(server);
  }

  /** Takes no more, lets what runs say its last words, and is gone within a moment. */
  async close(): Promise<void> {
    const closed = this.#servers.map((server) => once(server, "close"));
    for (const server of this.#servers) server.close();
    const reason = new Error("the daemon closes");
    for (const request of this.#active) request.abort(reason);
    for (const socket of this.#upgraded) endGently(socket);
    const timer = setTimeout(() => {
      for (const socket of this.#upgraded) socket.destroy();
      for (const server of this.#servers) server.closeAllConnections();
    }, lastWordsMs);
    for (const server of this.#servers) server.closeIdleConnections();
    await Promise.all(closed);
    clearTimeout(timer);
  }

  async #onRequest(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = new Request(message);
    this.#active.add(request);
    response.once("close", () => {
      this.#active.delete(request);
      if (!response.writableFinished) request.abort(new Error("the client went away"));
    });
    await this.#serve(request, message, response);
  }

  /** Docker's clients ask for an upgrade, and send a body along with it that belongs to the request: Node parts it from stdin. */
  async #onUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const request = new Request(message);
    this.#active.add(request);
    this.#upgraded.add(socket);
    // A client that breaks off is told of by "close" as well.
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#active.delete(request);
      this.#upgraded.delete(socket);
      request.abort(new Error("the client went away"));
    });
    if (head.length > 0) socket.unshift(head);
    const answer = await this.#answer(request);
    if (!("hijack" in answer)) {
      await this.#refuseUpgrade(request, message, socket, answer);
      return;
    }
    message.resume();
    const header = { ...this.#headers, "Content-Type": answer.contentType, Connection: "Upgrade", Upgrade: "tcp" };
    const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 101 UPGRADED\r\n${lines.join("")}\r\n`);
    await answer.hijack(upgradedConnection(socket)).catch((error: unknown) => {
      this.#report(request, error);
      socket.destroy();
    });
  }

  /** An error, or a route that has nothing to upgrade: answered as if the upgrade had not been asked for. */
  async #refuseUpgrade(request: Request, message: IncomingMessage, socket: Duplex, answer: Answer): Promise<void> {
    const response = new ServerResponse(message);
    response.shouldKeepAlive = false;
    // Of a socket it uses what any duplex stream has.
    response.assignSocket(socket as Socket);
    response.once("finish", () => socket.end());
    await respond(message, response, answer, this.#headers).catch((error: unknown) => this.#report(request, error));
  }

  async #serve(request: Request, message: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(request);
    try {
      await respond(message, response, answer, this.#headers);
    } catch (error) {
      if (response.headersSent) {
        this.#report(request, error);
        response.destroy();
      } else {
        await respond(message, response, this.#failure(request, error), this.#headers);
      }
    }
  }

  /** What the route answers; a failure is an answer, too. */
  async #answer(request: Request): Promise<Answer> {
    try {
      const match = this.#router.find(request.method, request.path);
      if (match === undefined) return { status: 404, json: { message: "page not found" } };
      request.params = match.params;
      return await match.route.handle(this.#engine, request);
    } catch (error) {
      return this.#failure(request, error);
    }
  }

  #failure(request: Request, error: unknown): Answer {
    this.#report(request, error);
    const { status, body } = errorAnswer(error);
    return { status, json: body };
  }

  /** Defects go to the log; what the user did, and clients that went away, don't. */
  #report(request: Request, error: unknown): void {
    if (request.isAborted || !isDefect(error)) return;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log(`${request.method} ${request.path}: ${detail}`);
  }
}

function refuseGarbage(socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}
