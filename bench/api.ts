import { Agent, request } from "node:http";

/** A minimal client of the Docker Engine API for benches: keep-alive connections, JSON in and out. */
export class Api {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** @throws Error with the engine's answer for a status of 400 or more */
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly bytes: Buffer }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; bytes: Buffer }>();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const sent = request(
      { socketPath: this.#socketPath, agent: this.#agent, method, path: `/v1.41${path}`, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const answer = { status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) };
          if (answer.status >= 400) reject(new Error(`${method} ${path}: ${answer.status} ${answer.bytes}`));
          else resolve(answer);
        });
      },
    );
    sent.on("error", reject);
    sent.end(text);
    return promise;
  }

  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return JSON.parse((await this.call(method, path, body)).bytes.toString()) as T;
  }

  async create(config: object): Promise<string> {
    return (await this.json<{ Id: string }>("POST", "/containers/create", config)).Id;
  }

  async start(id: string): Promise<void> {
    await this.call("POST", `/containers/${id}/start`);
  }

  async wait(id: string): Promise<number> {
    return (await this.json<{ StatusCode: number }>("POST", `/containers/${id}/wait`)).StatusCode;
  }

  async remove(id: string): Promise<void> {
    await this.call("DELETE", `/containers/${id}?force=1`);
  }

  /** One life of a container, its four requests one after the other. */
  async life(config: object): Promise<void> {
    const id = await this.create(config);
    await this.start(id);
    const status = await this.wait(id);
    if (status !== 0) throw new Error(`the container ended with ${status}`);
    await this.remove(id);
  }

  /** One exec of a command, to its end, its output read. */
  async exec(id: string, command: readonly string[]): Promise<void> {
    const { Id } = await this.json<{ Id: string }>("POST", `/containers/${id}/exec`, {
      Cmd: command,
      AttachStdout: true,
      AttachStderr: true,
    });
    await this.call("POST", `/exec/${Id}/start`, { Detach: false, Tty: false });
  }

  close(): void {
    this.#agent.destroy();
  }
}
