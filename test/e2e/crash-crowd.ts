/** Clients that do all sorts of things to containers until the daemon dies under them, and who know afterwards what must be true. */
import assert from "node:assert/strict";
import type { ApiClient } from "./api-client.ts";
import { exitOf, type Inspected, inspect, linesOf, untilGone } from "./container-calls.ts";
import { isAlive } from "./engine-processes.ts";

/** What was asked and what was answered, of each step of a container's life. */
type Step = "no" | "asked" | "done";

interface Member {
  readonly name: string;
  readonly kind: "brief" | "steady";
  readonly autoRemove: boolean;
  readonly port: boolean;
  /** What it ends with when it is left alone, or stopped. */
  readonly exitCode: number;
  created: Step;
  started: Step;
  stopped: Step;
  removed: Step;
  /** Its monitor was killed: it may end as it likes, but must say so. */
  orphaned: boolean;
}

/** Numbers from 0 to below 1 that a seed determines (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Crowd {
  readonly #random: () => number;
  #serial = 0;
  #members: Member[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** A member that runs for sure, if there is one. */
  get steady(): string | undefined {
    return this.#members.find((member) => isSteady(member))?.name;
  }

  /** One client: acts until an answer fails to come. */
  async act(api: ApiClient): Promise<void> {
    const own: Member[] = [];
    while (await this.#actOnce(api, own));
  }

  /** Its monitor is about to be killed. */
  orphan(name: string): void {
    for (const member of this.#members) if (member.name === name) member.orphaned = true;
  }

  /** Asks the next daemon whether each container is as its clients were told. */
  async check(api: ApiClient): Promise<void> {
    for (const member of this.#members) await checkMember(api, member);
  }

  /** A container of an earlier daemon is stopped by this one. */
  async stopOne(api: ApiClient): Promise<void> {
    const member = this.#members.find((one) => isSteady(one) && !one.autoRemove);
    if (member === undefined) return;
    const exit = exitOf(api, member.name);
    await stop(api, member);
    assert.equal(await exit, member.exitCode);
  }

  async removeAll(api: ApiClient): Promise<void> {
    await Promise.all(
      this.#members.map(async ({ name }) => {
        const { status, body } = await api.call("DELETE", `/containers/${name}?force=1`);
        assert.ok([204, 404, 409].includes(status), `rm -f ${name}: ${status} ${body}`);
      }),
    );
    for (const { name } of this.#members) await untilGone(api, name);
    this.#members = [];
  }

  async #actOnce(api: ApiClient, own: Member[]): Promise<boolean> {
    const member = own[Math.floor(this.#random() * own.length)];
    const dice = this.#random();
    if (member === undefined || dice < 0.45) return this.#make(api, own);
    if (dice < 0.7) return exec(api, member);
    if (dice < 0.85) return stop(api, member);
    own.splice(own.indexOf(member), 1);
    return remove(api, member);
  }

  async #make(api: ApiClient, own: Member[]): Promise<boolean> {
    const member: Member = {
      name: `crowd${this.#serial++}`,
      kind: this.#random() < 0.5 ? "brief" : "steady",
      autoRemove: this.#random() < 0.4,
      port: this.#random() < 0.3,
      exitCode: 3 + Math.floor(this.#random() * 90),
      created: "asked",
      started: "no",
      stopped: "no",
      removed: "no",
      orphaned: false,
    };
    this.#members.push(member);
    own.push(member);
    const { status, body } = await api.call("POST", `/containers/create?name=${member.name}`, requestFor(member));
    if (status === 0) return false;
    assert.equal(status, 201, body.toString());
    member.created = "done";
    member.started = "asked";
    const start = await api.call("POST", `/containers/${member.name}/start`);
    if (start.status === 0) return false;
    assert.equal(start.status, 204, start.body.toString());
    member.started = "done";
    return true;
  }
}

function requestFor({ kind, autoRemove, port, exitCode }: Member): object {
  const wait =
    kind === "steady" ? `trap "exit ${exitCode}" TERM; echo up; sleep 1000 & wait` : `echo up; exit ${exitCode}`;
  return {
    Image: "host",
    Cmd: ["sh", "-c", wait],
    ExposedPorts: port ? { "80/tcp": {} } : {},
    HostConfig: { AutoRemove: autoRemove, PortBindings: port ? { "80/tcp": [{ HostIp: "", HostPort: "0" }] } : {} },
  };
}

async function exec(api: ApiClient, member: Member): Promise<boolean> {
  const created = await api.call("POST", `/containers/${member.name}/exec`, {
    Cmd: ["echo", "in"],
    AttachStdout: true,
  });
  if (created.status === 0) return false;
  if (created.status !== 201) {
    assert.ok(!isSteady(member), `exec in ${member.name}: ${created.body}`);
    return true;
  }
  const { Id } = JSON.parse(created.body.toString()) as { Id: string };
  const { status, body } = await api.call("POST", `/exec/${Id}/start`, { Detach: false });
  // A stream whose end nobody announced ends alike whether the exec ended or the daemon was killed.
  if ((await api.call("GET", `/exec/${Id}/json`)).status === 0) return false;
  if (status === 200 && isSteady(member)) assert.match(body.toString(), /in\n/);
  return status !== 0;
}

async function stop(api: ApiClient, member: Member): Promise<boolean> {
  member.stopped = "asked";
  const { status, body } = await api.call("POST", `/containers/${member.name}/stop?t=5`);
  if (status === 0) return false;
  assert.ok(status === 204 || status === 304 || (status === 404 && member.autoRemove), `stop: ${status} ${body}`);
  member.stopped = "done";
  return true;
}

async function remove(api: ApiClient, member: Member): Promise<boolean> {
  member.removed = "asked";
  const { status, body } = await api.call("DELETE", `/containers/${member.name}?force=1`);
  if (status === 0) return false;
  const isGoing = member.autoRemove && (status === 404 || status === 409);
  assert.ok(status === 204 || isGoing, `remove: ${status} ${body}`);
  member.removed = "done";
  return true;
}

function isSteady({ kind, started, stopped, removed, orphaned }: Member): boolean {
  return kind === "steady" && started === "done" && stopped === "no" && removed === "no" && !orphaned;
}

async function checkMember(api: ApiClient, member: Member): Promise<void> {
  const story = JSON.stringify(member);
  const { status, body } = await api.call("GET", `/containers/${member.name}/json`);
  assert.ok(status === 200 || status === 404, `${story}: ${status} ${body}`);
  if (status === 404) return assert.ok(mayBeGone(member), `${story} is gone`);
  if (member.removed === "done") return await untilGone(api, member.name);

  const { State } = JSON.parse(body.toString()) as Inspected;
  const told = `${story} is ${JSON.stringify(State)}`;
  assert.ok(["created", "running", "exited"].includes(State.Status), told);
  if (member.started === "no") return assert.equal(State.Status, "created", told);
  if (member.orphaned) return checkOrphan(api, member, told);
  if (isSteady(member)) {
    assert.ok(State.Running && isAlive(State.Pid), told);
    return;
  }
  if (member.started === "asked") {
    if (State.Status === "exited" && State.ExitCode !== member.exitCode) assert.notEqual(State.Error, "", told);
    return;
  }
  if (member.kind === "brief" || member.stopped === "done") await checkEnd(api, member, told);
}

function mayBeGone(member: Member): boolean {
  if (member.created !== "done" || member.removed !== "no") return true;
  return member.autoRemove && !isSteady(member) && member.started !== "no";
}

async function checkEnd(api: ApiClient, member: Member, told: string): Promise<void> {
  if (member.autoRemove) return untilGone(api, member.name);
  assert.equal(await exitOf(api, member.name), member.exitCode, told);
  assert.deepEqual(await linesOf(api, member.name), ["up"], told);
}

async function checkOrphan(api: ApiClient, member: Member, told: string): Promise<void> {
  if (member.autoRemove) return untilGone(api, member.name);
  const { State } = await inspect(api, member.name);
  assert.equal(State.Status, "exited", told);
  // A stop or kill on its way may have been quicker.
  if (member.stopped === "no" && member.removed === "no") assert.match(State.Error, /monitor process was killed/, told);
}
