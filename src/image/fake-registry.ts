import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { digestOf } from "../oci/digest.ts";

/** A registry in memory, with faults to order: what tests of pull and push speak to. */
export class FakeRegistry {
  readonly blobs = new Map<string, Buffer>();
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests = new Map<string, { readonly bytes: Buffer; readonly type: string }>();
  /** `METHOD path` of every request, with `bytes=…` of ranges. */
  readonly requests: string[] = [];
  /** Called first; true when it has answered. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  /** Breaks the connection once after so many bytes of a blob. */
  breakAfter: number | undefined;
  ignoreRanges = false;
  #server: Server | undefined;
  #port = 0;

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** One that speaks TLS. */
  static async openTls(certificate: { readonly key: Buffer; readonly cert: Buffer }): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    await registry.open(certificate);
    return registry;
  }

  async open(certificate?: { readonly key: Buffer; readonly cert: Buffer }): Promise<void> {
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    };
    const server = certificate === undefined ? createServer(answer) : createTlsServer(certificate, answer);
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  addBlob(bytes: string | Buffer): { digest: string; size: number } {
    const blob = Buffer.from(bytes as Buffer);
    this.blobs.set(digestOf(blob), blob);
    return { digest: digestOf(blob), size: blob.length };
  }

  addManifest(repository: string, tag: string, value: object, type: string): { digest: string; size: number } {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = digestOf(bytes);
    this.manifests.set(`${repository}:${tag}`, { bytes, type });
    this.manifests.set(`${repository}@${digest}`, { bytes, type });
    return { digest, size: bytes.length };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://registry");
    const range = request.headers.range;
    this.requests.push(`${request.method} ${url.pathname}${url.search}${range === undefined ? "" : ` ${range}`}`);
    if (this.intercept(request, response)) return;
    const match = /^\/v2\/(?:(.+)\/(manifests|blobs)\/(.*))?$/.exec(url.pathname);
    const [, repository, kind, name = ""] = match ?? [];
    if (match === null) refuse(response, 404, "NOT_FOUND");
    else if (repository === undefined) response.end("{}");
    else if (kind === "manifests") await this.#manifest(request, response, repository, name);
    else if (name.startsWith("uploads/")) await this.#upload(request, response, repository, url);
    else this.#blob(request, response, name);
  }

  async #manifest(request: IncomingMessage, response: ServerResponse, repository: string, name: string): Promise<void> {
    const key = name.startsWith("sha256:") ? `${repository}@${name}` : `${repository}:${name}`;
    if (request.method === "PUT") {
      const bytes = await bodyOf(request);
      const manifest = { bytes, type: request.headers["content-type"] ?? "" };
      this.manifests.set(key, manifest);
      this.manifests.set(`${repository}@${digestOf(bytes)}`, manifest);
      response.writeHead(201).end();
      return;
    }
    const found = this.manifests.get(key);
    if (found === undefined) refuse(response, 404, "MANIFEST_UNKNOWN");
    else response.writeHead(200, { "content-type": found.type, "content-length": found.bytes.length }).end(found.bytes);
  }

  #blob(request: IncomingMessage, response: ServerResponse, digest: string): void {
    const blob = this.blobs.get(digest);
    if (blob === undefined) {
      refuse(response, 404, "BLOB_UNKNOWN");
      return;
    }
    const start = this.ignoreRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, { "content-length": blob.length - start });
    if (request.method === "HEAD") response.end();
    else if (this.breakAfter !== undefined && blob.length > this.breakAfter) {
      const end = start + this.breakAfter;
      this.breakAfter = undefined;
      response.write(blob.subarray(start, end), () => setTimeout(() => response.destroy(), 20));
    } else response.end(blob.subarray(start));
  }

  async #upload(request: IncomingMessage, response: ServerResponse, repository: string, url: URL): Promise<void> {
    const mount = url.searchParams.get("mount");
    if (request.method === "POST" && mount !== null && this.blobs.has(mount)) response.writeHead(201).end();
    else if (request.method === "POST") {
      response.writeHead(202, { location: `/v2/${repository}/blobs/uploads/1?state=x` }).end();
    } else {
      const bytes = await bodyOf(request);
      const digest = url.searchParams.get("digest");
      if (digest !== digestOf(bytes)) {
        refuse(response, 400, "DIGEST_INVALID");
        return;
      }
      this.blobs.set(digest, bytes);
      response.writeHead(201).end();
    }
  }
}

/** A refusal as registries write it. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const message = code.toLowerCase().replaceAll("_", " ");
  response.writeHead(status, headers).end(JSON.stringify({ errors: [{ code, message }] }));
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
}
