/** What tests often ask of a daemon's API, in a call each. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";

export interface Inspected {
  readonly Id: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Error: string;
    readonly OOMKilled: boolean;
  };
  readonly RestartCount: number;
  readonly LogPath: string;
}

export function inspect(api: ApiClient, name: string): Promise<Inspected> {
  return api.json<Inspected>("GET", `/containers/${name}/json`);
}

export async function createAndStart(api: ApiClient, name: string, config: object): Promise<void> {
  await api.json("POST", `/containers/create?name=${name}`, { Image: "host", ...config });
  const { status, body } = await api.call("POST", `/containers/${name}/start`);
  assert.equal(status, 204, body.toString());
}

/** Its exit status, once it doesn't run. */
export async function exitOf(api: ApiClient, name: string): Promise<number> {
  return (await api.json<{ StatusCode: number }>("POST", `/containers/${name}/wait`)).StatusCode;
}

export async function execIn(api: ApiClient, name: string, command: readonly string[]): Promise<string> {
  const { Id } = await api.json<{ Id: string }>("POST", `/containers/${name}/exec`, {
    Cmd: command,
    AttachStdout: true,
  });
  return api.output(`/exec/${Id}/start`, "POST", { Detach: false });
}

export async function linesOf(api: ApiClient, name: string): Promise<readonly string[]> {
  return (await api.output(`/containers/${name}/logs?stdout=1`)).trimEnd().split("\n");
}

/** `logs -f` brings what was printed, and goes on with what is printed. */
export async function followsLog(api: ApiClient, name: string): Promise<void> {
  const stream = await api.stream("GET", `/containers/${name}/logs?stdout=1&follow=1&tail=1`);
  let chunks = 0;
  for await (const _chunk of stream) if (++chunks === 3) break;
  stream.destroy();
  assert.equal(chunks, 3, `logs -f of ${name}`);
}

export async function untilGone(api: ApiClient, name: string): Promise<void> {
  await until(`${name} is gone`, async () => (await api.call("GET", `/containers/${name}/json`)).status === 404);
}

/** Waits for what becomes true by itself soon; fails with what it waited for. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !(await isTrue()); await sleep(20))
    assert.ok(Date.now() < deadline, `not within ${timeoutMs} ms: ${what}`);
}
