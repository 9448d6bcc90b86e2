/** Makes containers straight from the runtime and the executor, without an engine: on a root of the host's own programs. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cgroups } from "../../src/cgroup/cgroups.ts";
import { openCgroups } from "../../src/cgroup/open.ts";
import type { ContainerConfig } from "../../src/engine/model.ts";
import { specFor } from "../../src/engine/spec.ts";
import type { ResolvedUser } from "../../src/engine/user.ts";
import type { Executor, Monitor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { StepFailure } from "../../src/executor/step-failure.ts";
import { loopbackSteps } from "../../src/network/loopback.ts";
import type { Program, Steps } from "../../src/program/op.ts";
import { compile } from "../../src/runtime/compile/compile.ts";
import type { HostFacts } from "../../src/runtime/compile/host-facts.ts";
import { readHostFacts } from "../../src/runtime/read-host-facts.ts";

export const root: ResolvedUser = { uid: 0, gid: 0, groups: [], home: "/root" };

export interface ContainerWish {
  readonly argv: readonly string[];
  readonly env?: readonly string[];
  readonly config?: Partial<ContainerConfig>;
  readonly user?: ResolvedUser;
  readonly workingDirectory?: string;
  /** Made by the caller; by default what `config.network` says, which is none unless told. */
  readonly network?: (id: string) => Promise<Steps | undefined>;
  /** Changes the image: `lower` is its folder. */
  readonly image?: (lower: string) => void;
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly tornDown: readonly StepFailure[];
}

export class ContainerFixture implements AsyncDisposable {
  readonly scratch: string;
  readonly executor: Executor;
  readonly cgroups: Cgroups;
  readonly facts: HostFacts = readHostFacts();
  #serial = 0;

  static async open(name: string): Promise<ContainerFixture> {
    const scratch = mkdtempSync(join(tmpdir(), `onggi-${name}-`));
    const binary = join(import.meta.dirname, "../../build/onggi-exec");
    const executor = await openExecutor({ binary, socketDirectory: scratch });
    return new ContainerFixture(scratch, executor, openCgroups({ parent: `/onggi-${name}` }));
  }

  private constructor(scratch: string, executor: Executor, cgroups: Cgroups) {
    this.scratch = scratch;
    this.executor = executor;
    this.cgroups = cgroups;
  }

  newId(): string {
    return `fixture${process.pid}x${this.#serial++}`;
  }

  async program(id: string, wish: ContainerWish): Promise<Program> {
    const directory = join(this.scratch, id);
    const { lower, upper, work, staging } = makeRootfs(directory);
    wish.image?.(lower);
    const usr = {
      kind: "bind",
      source: "/usr",
      target: "/usr",
      readonly: true,
      createSource: false,
      recursive: true,
    } as const;
    const config = {
      image: "test",
      network: "none",
      ...wish.config,
      mounts: [usr, ...(wish.config?.mounts ?? [])],
    } as const;
    const hosts = join(directory, "hosts");
    const spec = specFor({
      id,
      config,
      settings: {
        argv: wish.argv,
        env: ["PATH=/usr/sbin:/usr/bin", ...(wish.env ?? [])],
        workingDirectory: wish.workingDirectory ?? "/",
      },
      user: wish.user ?? root,
      facts: this.facts,
      rootPath: staging,
      hostname: "tuna",
      files: { hostname: hosts, hosts, resolvConf: hosts },
    });
    const layers = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
    return compile(spec, this.facts, {
      rootfs: [{ type: "overlay", source: "overlay", options: layers }],
      cgroup: this.cgroups.steps(id, spec.linux.resources ?? {}),
      network:
        wish.network === undefined ? (config.network === "none" ? loopbackSteps() : undefined) : await wish.network(id),
      monitor: [{ op: "stdio", terminal: config.terminal === true, stdin: false, rows: 24, columns: 80 }],
      init: config.init === true,
    });
  }

  async run(wish: ContainerWish): Promise<Outcome> {
    return this.launch(await this.program(this.newId(), wish));
  }

  async launch(program: Program): Promise<Outcome> {
    return outcomeOf(await this.executor.launch(program, { subscribe: true }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cgroups.close();
    await this.executor.close();
    rmSync(this.scratch, { recursive: true });
  }
}

/** All that a process says until its end. */
export async function outcomeOf(monitor: Monitor): Promise<Outcome> {
  const output = { 1: "", 2: "" };
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let open = 2;
  monitor.subscribe({
    onData: (stream, data) => {
      output[stream] += Buffer.from(data).toString();
    },
    onEnd: () => {
      if (--open === 0) resolve();
    },
  });
  const { status } = await monitor.exited;
  await ended;
  return { status, stdout: output[1], stderr: output[2], tornDown: await monitor.tornDown };
}

/** A root file system that takes its programs from /usr by a bind mount: its /bin is a link, as in most images. */
function makeRootfs(directory: string): Record<"lower" | "upper" | "work" | "staging", string> {
  const lower = join(directory, "lower");
  for (const name of ["lower/usr", "lower/etc", "lower/tmp", "lower/real", "upper", "work", "staging"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(lower, name));
  symlinkSync("/real", join(lower, "srv")); // leads to the host's /real where it isn't followed inside
  writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost\n");
  return { lower, upper: join(directory, "upper"), work: join(directory, "work"), staging: join(directory, "staging") };
}
