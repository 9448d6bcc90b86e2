import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isOnggiError } from "../../src/base/error.ts";
import { decodeFrames, decodeJsonLines } from "../../src/engine/log-frames.ts";
import type { Executor, Monitor } from "../../src/executor/executor.ts";
import { parseExitRecord } from "../../src/executor/exit-record.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { StepFailure } from "../../src/executor/step-failure.ts";
import {
  CLONE_NEWIPC,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  MS_BIND,
  MS_PRIVATE,
  MS_REC,
  O_RDONLY,
  O_WRONLY,
} from "../../src/program/kernel.ts";
import type { Op, Program } from "../../src/program/op.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
const memoryCgroup = "/sys/fs/cgroup/memory";
const cgroup2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find(
  (path) => existsSync(`${path}/cgroup.procs`) && existsSync(`${path}/cgroup.controllers`),
);
const ownNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
const memoryV1 = existsSync(`${memoryCgroup}/memory.oom_control`) ? false : "needs the memory controller on cgroup v1";

let scratch: string;
let executor: Executor;
let socketsBefore: number;
let serial = 0;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-executor-"));
  socketsBefore = openSockets();
  executor = await openExecutor({ binary, socketDirectory: scratch });
});

afterEach(async () => {
  // The spawner stays, with one process ready for the next start; whatever else a test started has to be gone with it.
  await until(
    () => ownProcesses().length <= 2,
    () =>
      `left: ${ownProcesses()
        .map((pid) => commandLine(pid))
        .join("; ")}`,
  );
});

after(async () => {
  await executor.close();
  await until(
    () => ownProcesses().length === 0,
    () => "the spawner is still there",
  );
  await until(
    () => openSockets() <= socketsBefore,
    () => `${openSockets() - socketsBefore} connections to the executor are left open`,
  );
  rmSync(scratch, { recursive: true });
});

/** Connections, and Node's ends of the spawner's pipes; the test runner opens files of its own at its own time. */
function openSockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}

interface Run {
  readonly argv: readonly string[];
  readonly flags?: number;
  readonly host?: readonly Op[];
  readonly child?: readonly Op[];
  readonly teardown?: readonly Op[];
  readonly stdin?: boolean;
  readonly terminal?: boolean;
}

/** A program that runs a command of the host's. */
function aProgram({
  argv,
  flags = 0,
  host = [],
  child = [],
  teardown = [],
  stdin = false,
  terminal = false,
}: Run): Program {
  const [file = ""] = argv;
  return {
    host: [...host, { op: "stdio", terminal, stdin, rows: 24, columns: 80 }, { op: "clone", flags }],
    child: [
      ...child,
      { op: "exec", file, argv, env: [`ONGGI_TEST=${scratch}`, "PATH=/usr/bin:/bin"], searchPath: "/usr/bin:/bin" },
    ],
    teardown,
  };
}

const shell = (script: string, ...more: string[]) => ["sh", "-c", script, "sh", ...more];
const logTo = (name: string, rest: Partial<Extract<Op, { op: "log" }>> = {}): Op => ({
  op: "log",
  directory: scratch,
  name,
  format: 1,
  maxBytes: 0,
  maxFiles: 1,
  ...rest,
});

/** A name that no other test has. */
const aPath = (name: string): string => join(scratch, `${name}-${serial++}`);

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly failures: readonly StepFailure[];
}

/** Runs a program to its end and keeps what it wrote. */
async function run(what: Run): Promise<Outcome> {
  const monitor = await executor.launch(aProgram(what), { subscribe: true });
  const output = collect(monitor);
  const { status } = await monitor.exited;
  const failures = await monitor.tornDown;
  return { status, stdout: output.text(1), stderr: output.text(2), failures };
}

async function runInWorker(prelude: readonly Op[], ops: readonly Op[]): Promise<void> {
  const worker = await executor.work(prelude);
  try {
    await worker.run(ops);
  } finally {
    await worker.close();
  }
}

function collect(monitor: Monitor) {
  const data: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  const ended: number[] = [];
  const stop = monitor.subscribe({
    onData: (stream, piece) => {
      data[stream].push(Buffer.from(piece));
    },
    onEnd: (stream) => {
      ended.push(stream);
    },
  });
  return { text: (stream: 1 | 2) => Buffer.concat(data[stream]).toString(), ended, stop };
}

/** Processes of this test's executor, and those they run. */
function ownProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).includes(scratch) || fileOf(pid, "environ").includes(`ONGGI_TEST=${scratch}`));
}

const commandLine = (pid: number): string => fileOf(pid, "cmdline").replaceAll("\0", " ");
const parentOf = (pid: number): number =>
  Number(
    fileOf(pid, "stat")
      .replace(/^.*\) . /, "")
      .split(" ")[0],
  );

function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

async function until(condition: () => boolean, message: () => string, timeoutMs = 4000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(message());
    await sleep(10);
  }
}

async function failureOf(program: Program): Promise<StepFailure> {
  const error = await executor.launch(program).then(
    () => assert.fail("it started"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StepFailure)) throw error;
  return error;
}

describe("a launched process", () => {
  it("ends with the status of its program", async () => {
    assert.equal((await run({ argv: ["true"] })).status, 0);
    assert.equal((await run({ argv: shell("exit 7") })).status, 7);
  });

  it("is sent signals, and its end tells which one it died of", async () => {
    const monitor = await executor.launch(aProgram({ argv: ["sleep", "60"] }));

    monitor.kill(15);

    const { status, signal } = await monitor.exited;
    assert.deepEqual([status, signal], [143, 15]);
  });

  it("is named by a pid and a start time for ever", async () => {
    const monitor = await executor.launch(aProgram({ argv: ["sleep", "60"] }));

    assert.equal(
      fileOf(monitor.pid, "stat")
        .replace(/^.*\) /, "")
        .split(" ")[19],
      String(monitor.startTime),
    );

    monitor.kill(9);
    await monitor.exited;
  });

  it("gets no descriptor but 0 to 2, default signals and a umask of 022", async () => {
    const { stdout } = await run({
      argv: shell("ls /proc/$$/fd; umask; exec grep -E '^Sig(Blk|Ign)' /proc/self/status"),
    });

    assert.deepEqual(stdout.trim().split(/\s+/), [
      "0",
      "1",
      "2",
      "0022",
      "SigBlk:",
      "0".repeat(16),
      "SigIgn:",
      "0".repeat(16),
    ]);
  });

  it("lives in the namespaces that were asked for, as PID 1 of its own", async () => {
    const child: Op[] = [{ op: "setHostname", name: "jar" }];

    const { stdout } = await run({ argv: shell("echo $$; hostname"), flags: ownNamespaces, child });

    assert.equal(stdout, "1\njar\n");
  });

  it("runs under an init that reaps and passes signals on", async () => {
    const script = "(sleep 0.05 & ) ; trap 'exit 5' TERM; echo ready $$; while :; do sleep 0.02; done";
    const program = aProgram({ argv: shell(script), flags: ownNamespaces, child: [{ op: "init" }] });
    const monitor = await executor.launch(program, { subscribe: true });
    const output = collect(monitor);
    await until(
      () => output.text(1) === "ready 2\n",
      () => output.text(1),
    );
    await sleep(100);
    assert.equal(fileOf(monitor.pid, `task/${monitor.pid}/children`).trim().split(" ").length, 1);

    monitor.kill(15);

    assert.equal((await monitor.exited).status, 5);
    await monitor.tornDown;
  });

  it("is killed when the start is aborted, and only then the abort is told", async () => {
    const abort = new AbortController();
    const launched = executor.launch(aProgram({ argv: ["sleep", "60"] }), { signal: abort.signal });
    abort.abort(new Error("changed my mind"));

    await assert.rejects(launched, /changed my mind/);
  });
});

describe("a mount", () => {
  it("whose target is relative stays inside the current directory, whatever links lie there", async () => {
    const root = aPath("root");
    const outside = aPath("outside");
    mkdirSync(root);
    mkdirSync(outside);
    symlinkSync(outside, join(root, "absolute"));
    symlinkSync("../../../../../../../..", join(root, "climbing"));
    mkdirSync(join(root, outside), { recursive: true });
    const tmpfs = (target: string): Op => ({
      op: "fsmount",
      type: "tmpfs",
      source: "tmpfs",
      options: ["mode=711"],
      attributes: 0,
      target,
      create: "dir",
    });
    const child: Op[] = [
      { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
      { op: "mount", source: root, target: root, type: "", flags: MS_BIND, data: "" },
      { op: "chdir", path: root },
      tmpfs("absolute/new"),
      tmpfs("climbing/top"),
      { op: "mount", source: "/dev/null", target: "climbing/file", type: "", flags: MS_BIND, data: "", create: "file" },
      { op: "readonlyPath", path: "climbing/top" },
      { op: "mask", path: "climbing/top" },
    ];

    const { stdout } = await run({
      argv: shell("stat -c %a:%F absolute/new top file; touch top/x || echo masked"),
      flags: ownNamespaces,
      child,
    });

    assert.equal(existsSync(join(outside, "new")), false);
    assert.deepEqual(readdirSync(join(root, outside)), ["new"]);
    assert.deepEqual(readdirSync(root).sort(), ["absolute", "climbing", "file", "tmp", "top"].sort());
    assert.match(stdout, /^755:directory\n666:character special file\nmasked\n/);
  });
});

describe("a failed step", () => {
  it("is named by part, index and errno, and the teardown part runs", async () => {
    const made = aPath("made");
    const host: Op[] = [
      { op: "mkdir", path: made, mode: 0o755 },
      { op: "open", slot: "x", path: "/nowhere", flags: O_RDONLY },
    ];

    const failure = await failureOf(aProgram({ argv: ["true"], host, teardown: [{ op: "remove", path: made }] }));

    assert.deepEqual([failure.part, failure.index, failure.errno, failure.code], ["host", 1, "ENOENT", "step_failed"]);
    assert.match(failure.message, /\/nowhere.*ENOENT/);
    assert.equal(existsSync(made), false);
  });

  it("is told from the child, with or without an init", async () => {
    for (const before of [[], [{ op: "init" }]] satisfies Op[][]) {
      const child: Op[] = [...before, { op: "chdir", path: "/nowhere" }];
      const failure = await failureOf(aProgram({ argv: ["true"], child }));
      assert.deepEqual([failure.part, failure.index, failure.errno], ["child", before.length, "ENOENT"]);
    }
  });

  it("tells a missing program from one that can't be executed", async () => {
    const plain = aPath("plain");
    writeFileSync(plain, "x");

    assert.equal((await failureOf(aProgram({ argv: ["no-such-program"] }))).code, "command_not_found");
    assert.equal((await failureOf(aProgram({ argv: [plain] }))).code, "command_not_executable");
  });

  it("is passed over when its errno is tolerated", async () => {
    const host: Op[] = [{ op: "remove", path: aPath("none"), ignore: ["EBUSY", "ENOENT"] }];

    assert.equal((await run({ argv: ["true"], host })).status, 0);
  });

  it("of the teardown hinders no other, and all are told", async () => {
    const made = aPath("made");
    mkdirSync(made);
    const teardown: Op[] = [
      { op: "remove", path: aPath("none") },
      { op: "remove", path: made },
      { op: "umount", target: made, flags: 0 },
    ];

    const { failures } = await run({ argv: ["true"], teardown });

    assert.deepEqual(
      failures.map(({ index, errno }) => [index, errno]),
      [
        [0, "ENOENT"],
        [2, "ENOENT"],
      ],
    );
    assert.equal(existsSync(made), false);
  });

  it("of another version's op is refused before anything is done", async () => {
    const program = { ...aProgram({ argv: ["true"] }), host: [] };

    await assert.rejects(executor.launch(program), (error) => isOnggiError(error, "internal"));
  });
});

describe("output", () => {
  it("arrives whole and in order, and lies in the log", async () => {
    const argv = shell("seq 1 200000; echo no >&2");

    const { stdout, stderr } = await run({ argv, host: [logTo("seq.log")] });

    const expected = Array.from({ length: 200000 }, (_, i) => `${i + 1}\n`).join("");
    assert.equal(stdout === expected, true);
    assert.equal(stderr, "no\n");
    const { records, consumed } = decodeFrames(readFileSync(join(scratch, "seq.log")));
    assert.equal(consumed, statSync(join(scratch, "seq.log")).size);
    const kept = Buffer.concat(records.filter(({ stream }) => stream === "stdout").map(({ data }) => data)).toString();
    assert.equal(kept === expected, true);
  });

  it("waits for a slow listener, and the container with it", async () => {
    const total = 8 * 1024 * 1024;
    const gate = Promise.withResolvers<void>();
    let received = 0;
    const monitor = await executor.launch(aProgram({ argv: shell(`head -c ${total} /dev/zero`) }), { subscribe: true });
    monitor.subscribe({
      onData: (_, data) => {
        received += data.length;
        return gate.promise;
      },
    });
    await sleep(300);
    assert.ok(received > 0 && received <= 1024 * 1024, `${received} bytes came without credit`);

    gate.resolve();
    await monitor.tornDown;

    assert.equal(received, total);
  });

  it("goes on being kept when nobody listens any more", async () => {
    const monitor = await executor.launch(aProgram({ argv: shell("seq 1 50000"), host: [logTo("alone.log")] }), {
      subscribe: true,
    });
    const first = Promise.withResolvers<void>();
    const stop = monitor.subscribe({ onData: () => first.resolve() });
    await first.promise;
    stop();
    await monitor.tornDown;

    const { records } = decodeFrames(readFileSync(join(scratch, "alone.log")));
    assert.equal(
      records.reduce((sum, { data }) => sum + data.length, 0),
      288894,
    );
  });

  it("rotates by size and keeps as many files as told", async () => {
    const host = [logTo("turn.log", { maxBytes: 100_000, maxFiles: 3 })];

    await run({
      argv: shell("for i in $(seq 1 40); do head -c 10000 /dev/zero | tr '\\0' x; sleep 0.002; done"),
      host,
    });

    const files = readdirSync(scratch)
      .filter((name) => name.startsWith("turn.log"))
      .sort();
    assert.deepEqual(files, ["turn.log", "turn.log.1", "turn.log.2"]);
    for (const name of files) {
      const bytes = readFileSync(join(scratch, name));
      assert.equal(decodeFrames(bytes).consumed, bytes.length, `${name} has whole frames only`);
      assert.ok(bytes.length <= 100_000 + 65536 + 16);
    }
  });

  it("is kept as Docker's json-file when asked", async () => {
    const script = `printf 'plain "quoted" \\\\ \\t\\001\\n'; printf 'bad \\377 utf8 \\303\\n'; printf 'é한\\n'; head -c 40000 /dev/zero | tr '\\0' y; printf 'tail'`;

    await run({ argv: shell(script), host: [logTo("json.log", { format: 2 })] });

    const text = readFileSync(join(scratch, "json.log"), "utf8");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { log: string; stream: string; time: string });
    assert.deepEqual(
      lines.slice(0, 3).map(({ log }) => log),
      ['plain "quoted" \\ \t\u0001\n', "bad \ufffd utf8 \ufffd\n", "é한\n"],
    );
    assert.deepEqual(
      lines.slice(3).map(({ log }) => log.length),
      [16384, 16384, 7236],
    );
    assert.match(lines[0]?.time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
    assert.equal(decodeJsonLines(Buffer.from(text)).records.length, 6);
  });

  it("that finds the disk full is counted and told, and the container goes on", async () => {
    const full = aPath("full");
    mkdirSync(full);
    const host: Op[] = [
      { op: "unshare", flags: CLONE_NEWNS },
      { op: "mount", source: "tmpfs", target: full, type: "tmpfs", flags: 0, data: "size=64k" },
      logTo("log", { directory: full }),
    ];
    const program = aProgram({ argv: shell("read go; head -c 1000000 /dev/zero; exit 4"), host, stdin: true });
    const monitor = await executor.launch(program);
    const told: string[] = [];
    monitor.onLogError((errno) => told.push(errno));

    await monitor.writeStdin(Buffer.from("go\n"));

    assert.equal((await monitor.exited).status, 4);
    await monitor.tornDown;
    assert.equal(told[0], "ENOSPC");
  });

  it("after half a frame of a monitor that was killed begins where whole frames end", async () => {
    writeFileSync(join(scratch, "half.log"), Buffer.from([200, 0, 0, 0, 1, 0, 0x47, 0x4f, 1, 2, 3]));

    await run({ argv: ["echo", "again"], host: [logTo("half.log")] });

    const { records } = decodeFrames(readFileSync(join(scratch, "half.log")));
    assert.deepEqual(
      records.map(({ data }) => data.toString()),
      ["again\n"],
    );
  });
});

describe("stdin", () => {
  it("passes 10 MB through cat unchanged", async () => {
    const data = Buffer.alloc(10 * 1024 * 1024, "0123456789abcdef\n");
    const monitor = await executor.launch(aProgram({ argv: ["cat"], stdin: true }), { subscribe: true });
    const hash = createHash("sha256");
    monitor.subscribe({
      onData: (_, piece) => {
        hash.update(piece);
      },
    });

    await monitor.writeStdin(data);
    monitor.closeStdin();

    await monitor.tornDown;
    assert.equal(hash.digest("hex"), createHash("sha256").update(data).digest("hex"));
  });

  it("that nobody reads is dropped", async () => {
    const monitor = await executor.launch(aProgram({ argv: shell("exec <&-; sleep 0.3"), stdin: true }));

    await monitor.writeStdin(Buffer.alloc(1024 * 1024));

    assert.equal((await monitor.exited).status, 0);
    await monitor.tornDown;
  });

  it("is empty where none was asked for", async () => {
    assert.equal((await run({ argv: shell("wc -c; readlink /proc/$$/fd/0") })).stdout, "0\n/dev/null\n");
  });
});

describe("a terminal", () => {
  const points = () => aPath("pts");

  function withTerminal(directory: string): readonly Op[] {
    mkdirSync(directory);
    return [
      { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
      {
        op: "mount",
        source: "devpts",
        target: directory,
        type: "devpts",
        flags: 0,
        data: "newinstance,ptmxmode=0666,mode=0620",
      },
      { op: "openTerminal", path: `${directory}/ptmx` },
    ];
  }

  it("is the process's own, has the size it is given, and is resized", async () => {
    const directory = points();
    const script = "trap 'stty size; exit 3' WINCH; tty -s && stty size; while :; do sleep 0.02; done";
    const program = aProgram({
      argv: shell(script),
      flags: ownNamespaces,
      child: withTerminal(directory),
      terminal: true,
    });
    const monitor = await executor.launch(program, { subscribe: true });
    const output = collect(monitor);
    await until(
      () => output.text(1) === "24 80\r\n",
      () => output.text(1),
    );

    monitor.resize(50, 132);

    assert.equal((await monitor.exited).status, 3);
    await monitor.tornDown;
    assert.equal(output.text(1), "24 80\r\n50 132\r\n");
    assert.deepEqual(output.ended, [1, 2]);
  });

  it("passes input and the keys that signal", async () => {
    const program = aProgram({
      argv: shell("read line; echo got $line; cat"),
      flags: ownNamespaces,
      child: withTerminal(points()),
      terminal: true,
      stdin: true,
    });
    const monitor = await executor.launch(program, { subscribe: true });
    const output = collect(monitor);

    await monitor.writeStdin(Buffer.from("hello\n"));
    await until(
      () => output.text(1).includes("got hello\r\n"),
      () => output.text(1),
    );
    await sleep(50);
    await monitor.writeStdin(Buffer.from([3]));

    // PID 1 of a namespace with no handler for it is spared: cat, its child, dies, and sh says so.
    assert.equal((await monitor.exited).status, 130);
    await monitor.tornDown;
  });

  it("gives all of its last output", async () => {
    const { stdout } = await run({
      argv: shell("seq 1 20000"),
      flags: ownNamespaces,
      child: withTerminal(points()),
      terminal: true,
    });

    assert.equal(stdout.length, 108894 + 20000);
    assert.ok(stdout.endsWith("20000\r\n"));
  });

  it("is opened from a devpts only", async () => {
    const child: Op[] = [{ op: "openTerminal", path: "/dev/null" }];

    const failure = await failureOf(aProgram({ argv: ["true"], child, terminal: true }));

    assert.deepEqual([failure.index, failure.errno], [0, "ENODEV"]);
  });
});

describe("a monitor", () => {
  it("is found again by the next engine, under a long path too", async () => {
    const directory = join(scratch, "long".repeat(30));
    mkdirSync(directory);
    const socket = join(directory, "monitor.sock");
    const record = aPath("exit.json");
    const host: Op[] = [
      { op: "listen", path: socket },
      { op: "record", path: record },
    ];
    const program = aProgram({ argv: shell("read x; echo got $x; exit 6"), host, stdin: true });
    const first = await executor.launch(program);
    first.disconnect();
    await assert.rejects(first.exited, (error) => isOnggiError(error, "unavailable"));

    const second = await executor.reconnect(socket);

    assert.ok(second !== undefined);
    assert.deepEqual([second.pid, second.startTime], [first.pid, first.startTime]);
    const output = collect(second);
    await second.writeStdin(Buffer.from("this\n"));
    assert.equal((await second.exited).status, 6);
    await second.tornDown;
    assert.equal(output.text(1), "got this\n");
    const { status, signal, finishedAtNs } = parseExitRecord(readFileSync(record, "utf8"));
    assert.deepEqual([status, signal], [6, 0]);
    assert.ok(Math.abs(Number(finishedAtNs / 1_000_000n) - Date.now()) < 10_000);
    assert.equal(await executor.reconnect(socket), undefined);
  });

  it("that is killed is reported, and its container lives on", async () => {
    const monitor = await executor.launch(aProgram({ argv: ["sleep", "60"], flags: ownNamespaces }));
    const pid = parentOf(monitor.pid);
    assert.match(commandLine(pid), /spawner/);

    process.kill(pid, "SIGKILL");

    await assert.rejects(monitor.exited, (error) => isOnggiError(error, "unavailable"));
    await assert.rejects(monitor.tornDown, (error) => isOnggiError(error, "unavailable"));
    await assert.rejects(monitor.writeStdin(Buffer.from("x")), (error) => isOnggiError(error, "unavailable"));
    assert.match(commandLine(monitor.pid), /^sleep/);
    process.kill(monitor.pid, "SIGKILL");
  });

  it("needs at most 150 KiB of private memory while its container idles", async () => {
    const monitor = await executor.launch(
      aProgram({ argv: shell("echo hello; exec sleep 60"), flags: ownNamespaces, host: [logTo("idle.log")] }),
    );
    await sleep(1500);

    const privateKib = [...fileOf(parentOf(monitor.pid), "smaps_rollup").matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce(
      (sum, [, kib]) => sum + Number(kib),
      0,
    );

    assert.ok(privateKib > 0 && privateKib <= 150, `${privateKib} KiB`);
    monitor.kill(9);
    await monitor.tornDown;
  });

  it("counts kills by the memory limit", { skip: memoryV1 }, async () => {
    const group = `${memoryCgroup}/onggi-executor-${process.pid}`;
    mkdirSync(group);
    writeFileSync(`${group}/memory.limit_in_bytes`, String(16 * 1024 * 1024));
    const host: Op[] = [
      { op: "open", slot: "tasks", path: `${group}/tasks`, flags: O_WRONLY },
      {
        op: "oomWatch",
        version: 1,
        path: `${group}/memory.oom_control`,
        peakPath: `${group}/memory.max_usage_in_bytes`,
        usagePath: `${group}/memory.usage_in_bytes`,
      },
    ];
    const child: Op[] = [{ op: "writeSlot", slot: "tasks", data: "0" }];
    const program = aProgram({
      argv: shell("sleep 0.1; x=$(head -c 64M /dev/zero | tr '\\0' x); echo $?"),
      host,
      child,
      teardown: [{ op: "remove", path: group }],
    });
    const monitor = await executor.launch(program);

    const { signal, oomKills, memoryPeakBytes } = await monitor.exited;

    assert.equal(signal, 9);
    assert.ok(oomKills >= 1);
    assert.ok(memoryPeakBytes > 8 * 1024 * 1024 && memoryPeakBytes <= 16 * 1024 * 1024);
    assert.deepEqual(await monitor.tornDown, []);
    assert.equal(existsSync(group), false);
  });
});

describe("a second process in a container", () => {
  it("shares the container's namespaces", async () => {
    const container = await executor.launch(
      aProgram({ argv: ["sleep", "60"], flags: ownNamespaces, child: [{ op: "setHostname", name: "jar" }] }),
    );
    const host: Op[] = [
      { op: "openProcess", slot: "p", pid: container.pid, startTime: container.startTime },
      { op: "setns", slot: "p", flags: CLONE_NEWPID },
    ];
    const child: Op[] = [{ op: "setns", slot: "p", flags: CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC }];

    const { stdout } = await run({ argv: shell("echo $$; hostname; readlink /proc/self/fd/3"), host, child });

    assert.match(stdout, /^\d+\njar\n$/);
    assert.ok(Number.parseInt(stdout, 10) < 100, "its pid is one of the container's");
    container.kill(9);
    await container.tornDown;
  });

  it("is refused when the pid is another process's by now", async () => {
    const host: Op[] = [{ op: "openProcess", slot: "p", pid: process.pid, startTime: 1n }];

    assert.equal((await failureOf(aProgram({ argv: ["true"], host }))).errno, "ESRCH");
  });
});

describe("a process on cgroup v2", {
  skip: existsSync(`${cgroup2}/cgroup.procs`) ? false : "needs a cgroup v2 hierarchy",
}, () => {
  it("starts in its cgroup, and is killed with it", async () => {
    const group = `${cgroup2}/onggi-executor-${process.pid}`;
    mkdirSync(group);
    const program: Program = {
      host: [
        { op: "open", slot: "group", path: group, flags: O_RDONLY },
        { op: "stdio", terminal: false, stdin: false, rows: 0, columns: 0 },
        { op: "clone", flags: ownNamespaces, intoCgroup: "group" },
      ],
      child: [
        {
          op: "exec",
          file: "sh",
          argv: shell("cat /proc/self/cgroup; sleep 60 & sleep 60"),
          env: [`ONGGI_TEST=${scratch}`],
          searchPath: "/usr/bin:/bin",
        },
      ],
      teardown: [
        { op: "killCgroup", path: group },
        { op: "remove", path: group },
      ],
    };
    const monitor = await executor.launch(program, { subscribe: true });
    const output = collect(monitor);
    await until(
      () => output.text(1).includes(`0::/onggi-executor-${process.pid}\n`),
      () => output.text(1),
    );

    await runInWorker([], [{ op: "killCgroup", path: group }]);

    assert.equal((await monitor.exited).signal, 9);
    assert.deepEqual(await monitor.tornDown, []);
    assert.equal(existsSync(group), false);
  });
});

describe("the spawner", () => {
  it("that is killed is started again, and monitors go on", async () => {
    const monitor = await executor.launch(aProgram({ argv: shell("read x; exit 2"), stdin: true }));
    const spawner = ownProcesses().find((pid) => parentOf(pid) === process.pid);
    assert.ok(spawner !== undefined);
    const lost = Promise.withResolvers<string>();
    executor.onSpawnerLost(lost.resolve);

    process.kill(spawner, "SIGKILL");

    assert.match(await lost.promise, /signal SIGKILL/);
    assert.equal((await run({ argv: shell("exit 9") })).status, 9);
    await monitor.writeStdin(Buffer.from("\n"));
    assert.equal((await monitor.exited).status, 2);
    await monitor.tornDown;
  });

  it("holds the lock of the data root, for one engine at a time", async () => {
    const path = aPath("lock");
    const lockFd = openSync(path, "w");
    const other = openSync(path, "w");
    const directory = aPath("second");
    mkdirSync(directory);
    const holder = await openExecutor({ binary, socketDirectory: directory, lockFd });

    await assert.rejects(openExecutor({ binary, socketDirectory: scratch, lockFd: other }), (error) =>
      isOnggiError(error, "in_use"),
    );

    await holder.close();
    closeSync(lockFd);
    const next = await openExecutor({ binary, socketDirectory: directory, lockFd: other });
    await next.close();
    closeSync(other);
  });

  it("that can't start is an error that says why", async () => {
    await assert.rejects(openExecutor({ binary: "/nowhere/onggi-exec", socketDirectory: scratch }), /ENOENT/);
    await assert.rejects(openExecutor({ binary, socketDirectory: join(scratch, "none") }), /no such file/i);
  });

  it("starts many at a time", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) => run({ argv: shell(`echo ${i}; exit ${i}`), flags: ownNamespaces })),
    );

    assert.deepEqual(
      outcomes.map(({ status, stdout }) => [status, stdout]),
      outcomes.map((_, i) => [i, `${i}\n`]),
    );
  });
});

describe("a worker in a jail", () => {
  const jailed = (directory: string): Op[] => [
    { op: "unshare", flags: CLONE_NEWNS },
    { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
    { op: "chroot", path: directory },
    { op: "chdir", path: "/" },
  ];

  async function inJail(
    work: (directory: string, run: (ops: readonly Op[]) => Promise<readonly Uint8Array[]>) => Promise<void>,
  ): Promise<void> {
    const directory = aPath("jail");
    mkdirSync(directory);
    const worker = await executor.work(jailed(directory));
    try {
      await work(directory, (ops) => worker.run(ops));
    } finally {
      await worker.close();
    }
  }

  it("makes files of every kind, exactly", () =>
    inJail(async (directory, run) => {
      await run([
        { op: "mkdir", path: "a/b/c", mode: 0o1777, parents: true },
        { op: "createFile", slot: "f", path: "a/file", mode: 0o600 },
        { op: "append", slot: "f", data: Buffer.from("head") },
        { op: "append", slot: "f", skip: 8192, data: Buffer.from("tail") },
        { op: "append", slot: "f", skip: 100, data: Buffer.alloc(0) },
        { op: "closeSlot", slot: "f" },
        { op: "link", target: "a/file", path: "a/hard" },
        { op: "symlink", target: "/etc/passwd", path: "a/soft" },
        { op: "mknod", path: "a/null", mode: 0o020666, major: 1, minor: 3 },
        { op: "chown", path: "a/file", uid: 12, gid: 34 },
        { op: "chmod", path: "a/file", mode: 0o4755 },
        { op: "setxattr", path: "a/file", name: "trusted.x", value: Buffer.from([0, 255, 1]) },
        { op: "utimens", path: "a/file", atimeNs: 1n, mtimeNs: 1_600_000_000_123_456_789n },
        { op: "utimens", path: "a/soft", atimeNs: -1n, mtimeNs: -1_500_000_000n },
      ]);

      const file = lstatSync(join(directory, "a/file"), { bigint: true });
      assert.deepEqual(
        [file.size, file.uid, file.gid, file.mode & 0o7777n, file.nlink],
        [8300n, 12n, 34n, 0o4755n, 2n],
      );
      assert.equal(file.mtimeNs, 1_600_000_000_123_456_789n);
      assert.equal(lstatSync(join(directory, "a/soft"), { bigint: true }).mtimeNs, -1_500_000_000n);
      assert.equal(lstatSync(join(directory, "a/null")).mode, 0o020666);
      assert.equal(lstatSync(join(directory, "a/b/c")).mode & 0o7777, 0o1777);
      const bytes = readFileSync(join(directory, "a/file"));
      assert.deepEqual([bytes.toString("utf8", 0, 4), bytes.toString("utf8", 8196, 8200)], ["head", "tail"]);
    }));

  it("never leaves it by a link, whatever lies there", () =>
    inJail(async (directory, run) => {
      const outside = aPath("outside");
      writeFileSync(outside, "untouched");
      chmodSync(outside, 0o640);
      mkdirSync(join(directory, outside, ".."), { recursive: true });
      symlinkSync(outside, join(directory, "out"));
      symlinkSync("../../../../../..", join(directory, "up"));
      const before = lstatSync(outside);

      await assert.rejects(run([{ op: "createFile", slot: "f", path: "out", mode: 0o644 }]), /EEXIST/);
      await assert.rejects(run([{ op: "writeFile", path: "out", data: "x", mode: 0o644 }]), /ELOOP/);
      await assert.rejects(run([{ op: "chmod", path: "out", mode: 0o777 }]), /EOPNOTSUPP/);
      await run([{ op: "chown", path: "out", uid: 5, gid: 5 }]);
      await run([{ op: "utimens", path: "out", atimeNs: 0n, mtimeNs: 0n }]);
      await run([{ op: "mkdir", path: `up${scratch}/inside`, mode: 0o755, parents: true }]);
      await run([{ op: "writeFile", path: `up${scratch}/inside/x`, data: "x", mode: 0o644 }]);

      const now = lstatSync(outside);
      assert.deepEqual(
        [now.uid, now.mode, now.mtimeMs, readFileSync(outside, "utf8")],
        [before.uid, before.mode, before.mtimeMs, "untouched"],
      );
      assert.equal(existsSync(join(scratch, "inside")), false);
      assert.equal(readFileSync(join(directory, scratch, "inside/x"), "utf8"), "x");
    }));

  it("removes a tree without following links or entering mounts, however deep it is", () =>
    inJail(async (directory, run) => {
      const outside = aPath("kept");
      mkdirSync(outside);
      writeFileSync(join(outside, "file"), "kept");
      mkdirSync(join(directory, "tree/sub"), { recursive: true });
      symlinkSync(outside, join(directory, "tree/link"));
      const deep = await executor.work([
        { op: "chdir", path: join(directory, "tree") },
        ...Array.from({ length: 600 }, (): Op[] => [
          { op: "mkdir", path: "deeper", mode: 0o755 },
          { op: "writeFile", path: "file", data: "x", mode: 0o644 },
          { op: "chdir", path: "deeper" },
        ]).flat(),
      ]);
      await deep.close();

      await run([{ op: "remove", path: "tree", recursive: true }]);

      assert.deepEqual(readdirSync(directory), []);
      assert.equal(readFileSync(join(outside, "file"), "utf8"), "kept");
      await assert.rejects(run([{ op: "remove", path: "tree", recursive: true }]), /ENOENT/);
      // ELOOP would be the kernel's word for a link, EXDEV that for a mount: neither is entered.
      mkdirSync(join(directory, "tree/mounted"), { recursive: true });
      const mounted: Op[] = [
        { op: "unshare", flags: CLONE_NEWNS },
        { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
        { op: "mount", source: outside, target: join(directory, "tree/mounted"), type: "", flags: MS_BIND, data: "" },
      ];
      await assert.rejects(
        runInWorker(mounted, [{ op: "remove", path: join(directory, "tree"), recursive: true }]),
        /EBUSY|EXDEV/,
      );
      assert.equal(readFileSync(join(outside, "file"), "utf8"), "kept");
    }));

  it("reads files, and goes on after a step that failed", () =>
    inJail(async (directory, run) => {
      writeFileSync(join(directory, "one"), "1".repeat(100_000));
      writeFileSync(join(directory, "empty"), "");

      const error = await run([
        { op: "mkdir", path: "made", mode: 0o755 },
        { op: "rename", from: "none", to: "x" },
      ]).catch((reason) => reason);
      const data = await run([
        { op: "readFile", path: "one", maxBytes: 1_000_000 },
        { op: "readFile", path: "empty", maxBytes: 10 },
      ]);

      assert.ok(error instanceof StepFailure);
      assert.deepEqual([error.part, error.index, error.errno], ["batch", 1, "ENOENT"]);
      assert.deepEqual(
        data.map((bytes) => bytes.length),
        [100_000, 0],
      );
      await assert.rejects(run([{ op: "readFile", path: "one", maxBytes: 10 }]), /EFBIG/);
    }));

  it("writes thousands of files in one call", () =>
    inJail(async (directory, run) => {
      const ops = Array.from({ length: 5000 }, (_, i): Op[] => [
        { op: "createFile", slot: "f", path: `d/${i}`, mode: 0o644 },
        { op: "append", slot: "f", data: Buffer.from(`file ${i}`) },
        { op: "closeSlot", slot: "f" },
      ]).flat();

      await run([{ op: "mkdir", path: "d", mode: 0o755 }, ...ops]);

      assert.equal(readdirSync(join(directory, "d")).length, 5000);
      assert.equal(readFileSync(join(directory, "d/4999"), "utf8"), "file 4999");
      await run([{ op: "remove", path: "d", recursive: true }]);
    }));

  it("whose prelude fails says which step", async () => {
    await assert.rejects(
      executor.work([
        { op: "chdir", path: "/" },
        { op: "chroot", path: "/nowhere" },
      ]),
      (error) => {
        assert.ok(error instanceof StepFailure);
        return error.index === 1 && error.errno === "ENOENT";
      },
    );
  });
});

describe("the decoder", () => {
  it("survives programs that are nearly right, under the compiler's sanitizers", (test) => {
    const native = join(import.meta.dirname, "../../native");
    const made = spawnSync("make", ["-s", "-C", native, "fuzz"], { encoding: "utf8" });
    if (/cannot find.*(asan|ubsan)/.test(made.stderr)) return test.skip("the compiler has no sanitizers");
    assert.equal(made.status, 0, made.stderr);

    const { status, stdout, stderr } = spawnSync(join(native, "../build/fuzz-decode"), ["2"], { encoding: "utf8" });

    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^[1-9]\d* read, [1-9]\d* refused/);
  });

  it("ends a connection that sends nonsense, and nothing else", async () => {
    for (const nonsense of ["", "x", "GET / HTTP/1.1\r\n\r\n", "\x04\0\0\0\x01\0\0\0", "\xff".repeat(64)]) {
      const socket = connect(join(scratch, "spawner.sock"));
      socket
        .on("error", () => {})
        .end(Buffer.from(nonsense, "latin1"))
        .resume();
      await new Promise((resolve) => socket.once("close", resolve));
    }

    assert.equal((await run({ argv: ["true"] })).status, 0);
  });
});

describe("killCgroup", () => {
  it("ends all that is in it, children made meanwhile too", { skip: memoryV1 }, async () => {
    const group = `${memoryCgroup}/onggi-executor-kill-${process.pid}`;
    mkdirSync(group);
    const host: Op[] = [{ op: "open", slot: "tasks", path: `${group}/tasks`, flags: O_WRONLY }];
    const child: Op[] = [{ op: "writeSlot", slot: "tasks", data: "0" }];
    const script = "for i in 1 2 3 4 5; do sh -c 'while :; do sleep 0.01; done' & done; wait";
    const monitor = await executor.launch(aProgram({ argv: shell(script), host, child }));
    await sleep(100);
    await runInWorker(
      [],
      [
        { op: "killCgroup", path: group },
        { op: "remove", path: group },
      ],
    );

    assert.equal(existsSync(group), false);
    assert.equal((await monitor.exited).signal, 9);
    await monitor.tornDown;
    if (existsSync(group)) rmdirSync(group);
  });
});
