/** `run` flag by flag, through both clients, each proved by what the container itself sees. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

let daemon: TestDaemon;
let scratch: string;
let atFirst: Inventory;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-run-"));
  daemon = await startDaemon();
  await daemon.onggi(["image", "from-host"]);
  await daemon.onggi(["run", "--rm", "host", "true"]);
  atFirst = daemon.inventory();
});

after(async () => {
  try {
    await assertNothingLeft(daemon, atFirst);
  } finally {
    await daemon.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
});

/** Flags, what is run, and what it prints: by itself, and where stderr is meant to be read, with `2>&1`. */
type Case = readonly [flags: string, script: string, prints: string | RegExp];

/** Privileged is to have all that the engine has itself. */
const ownCapabilities = /^CapEff:\s+(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
const byFlag: readonly Case[] = [
  ["-e A=1 -e B=two\\ words --env C=", "echo $A-$B-$C-$PATH", /^1-two words--.*\/usr\/bin/],
  ["-w /tmp", "pwd", "/tmp"],
  ["-w /made/for/it", "pwd; stat -c %a:%u .", "/made/for/it\n755:0"],
  ["-u nobody", "id", "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"],
  ["-u 1000", "id -u; id -g; grep CapEff /proc/self/status", /^1000\n0\nCapEff:\s+0{16}$/],
  ["-u 1000:1001", "id -u; id -g", "1000\n1001"],
  ["-u daemon:nogroup", "id -un; id -gn", "daemon\nnogroup"],
  ["--group-add 77 -u 5:6", "id -G", "6 77"],
  ["-h jar", "hostname; cat /etc/hostname; grep -c '[[:space:]]jar$' /etc/hosts", "jar\njar\n1"],
  ["--hostname jar --network none", "hostname", "jar"],
  [
    "--tmpfs /t:size=1m,mode=1777",
    "stat -f -c %T /t; stat -c %a /t; df /t | tail -1 | awk '{print $2}'",
    "tmpfs\n1777\n1024",
  ],
  ["--tmpfs /t", "grep ' /t ' /proc/self/mounts", /^tmpfs \/t tmpfs rw,nosuid,nodev,noexec/],
  [
    "--read-only",
    "touch /x 2>&1; touch /dev/shm/x && echo written",
    "touch: cannot touch '/x': Read-only file system\nwritten",
  ],
  ["--read-only --tmpfs /run", "touch /run/x && echo written", "written"],
  ["--network none", "ls /sys/class/net; ip -o link | wc -l", "lo\n1"],
  ["--network bridge", "ip -4 -o addr show eth0 | wc -l; ip route | grep -c ^default", "1\n1"],
  ["--ulimit nofile=10:20 --ulimit core=0", "ulimit -n; ulimit -Hn; ulimit -c", "10\n20\n0"],
  ["--pids-limit 20", "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null", "20"],
  ["--memory 64m", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null", "67108864"],
  [
    "-m 64m --memory-swap 96m",
    "cat /sys/fs/cgroup/memory.swap.max /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes 2>/dev/null",
    /^(33554432|100663296|)$/,
  ],
  ["--cpus 0.2", "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null", /^20000( 100000)?$/],
  ["--cpu-shares 512", "cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null", /^(512|20|59)$/],
  ["", "grep CapEff /proc/self/status", /^CapEff:\s+00000000a80425fb$/],
  ["--cap-drop ALL", "grep CapEff /proc/self/status", /^CapEff:\s+0{16}$/],
  ["--cap-drop all --cap-add CAP_CHOWN --cap-add kill", "grep CapEff /proc/self/status", /^CapEff:\s+0{14}21$/],
  ["--cap-add SYS_TIME", "grep CapEff /proc/self/status", /^CapEff:\s+00000000aa0425fb$/],
  ["", "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | tr '\\n\\t' '  '", "NoNewPrivs: 0 Seccomp: 2 "],
  ["--security-opt seccomp=unconfined", "grep ^Seccomp: /proc/self/status", "Seccomp:\t0"],
  ["--security-opt no-new-privileges", "grep ^NoNewPrivs: /proc/self/status", "NoNewPrivs:\t1"],
  [
    "--privileged",
    "grep -E '^(CapEff|Seccomp):' /proc/self/status; grep -c '^sysfs /sys sysfs rw' /proc/self/mounts; [ -e /dev/kmsg ] && echo kmsg",
    `CapEff:\t${ownCapabilities}\nSeccomp:\t0\n1\nkmsg`,
  ],
  [
    "--cap-add SYSLOG --device /dev/kmsg:/dev/messages:r",
    "exec 3< /dev/messages && echo opened; (echo x > /dev/messages) 2>&1 | grep -c 'not permitted'",
    "opened\n1",
  ],
  [
    "--init",
    "cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline; sh -c 'sleep 0.1 & exec true'; sleep 0.3; ps -eo stat | grep -c Z",
    /^onggi-init\nonggi-init *0$/,
  ],
  ["--shm-size 1m", "df /dev/shm | tail -1 | awk '{print $2}'", "1024"],
  ["--sysctl net.ipv4.ip_unprivileged_port_start=99", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "99"],
  [
    "--add-host other:10.9.8.7 --dns 10.9.9.9 --dns-search example.test",
    "grep other /etc/hosts; cat /etc/resolv.conf",
    /^10\.9\.8\.7\s+other[\s\S]*nameserver 10\.9\.9\.9\n?/,
  ],
  [
    "--pid host",
    "[ $(ls -d /proc/[0-9]* | wc -l) -gt 3 ] && echo many; [ $$ -gt 1 ] && echo not first",
    "many\nnot first",
  ],
];

for (const name of clientNames) {
  describe(`${name} run`, { skip: skipOf(name) }, () => {
    let client: Client;
    const run = (args: readonly string[], options = {}) => client.run(["run", "--rm", ...args], options);
    before(() => {
      client = clientOf(name, daemon);
    });

    for (const [flags, script, prints] of byFlag) {
      it(`${flags || "without flags"}: ${script.slice(0, 60)}`, async () => {
        const words = flags.match(/(?:\\.|\S)+/g)?.map((word) => word.replaceAll("\\ ", " ")) ?? [];
        const { stdout, stderr } = await run([...words, "host", "sh", "-c", script]);

        if (typeof prints === "string") assert.equal(stdout.trimEnd(), prints.trimEnd(), stderr);
        else assert.match(stdout.trimEnd(), prints, stderr);
      });
    }

    it("-i passes stdin on, to its end and no further", async () => {
      const input = Buffer.alloc(2_000_000, "0123456789abcde\n");
      const { stdout, code } = await run(["-i", "host", "sh", "-c", "cat; echo the end; exit 3"], { input });

      assert.equal(code, 3);
      assert.ok(stdout === `${input}the end\n`);
    });

    it("without -i gives an empty stdin", async () => {
      assert.equal((await run(["host", "sh", "-c", "cat; echo none"], { input: "ignored" })).stdout, "none\n");
    });

    it("keeps stdout and stderr apart", async () => {
      const { stdout, stderr } = await run(["host", "sh", "-c", "echo out; echo err >&2"]);
      assert.deepEqual([stdout, stderr], ["out\n", "err\n"]);
    });

    it("--env-file and -e: comments left out, values as they stand, later ones win, bare names from the caller", async () => {
      const file = join(scratch, "env");
      writeFileSync(file, '# said\nA=1\nQUOTED="as it is"\nFROM_CALLER\nUNSET_HERE\n');
      const { stdout } = await run(["--env-file", file, "-e", "A=2", "-e", "ALSO", "host", "env"], {
        env: { FROM_CALLER: "yes", ALSO: "too" },
      });
      const lines = stdout.split("\n");

      for (const line of ["A=2", 'QUOTED="as it is"', "FROM_CALLER=yes", "ALSO=too"])
        assert.ok(lines.includes(line), line);
      assert.ok(!stdout.includes("UNSET_HERE") && !stdout.includes("said"));
    });

    it("-l and --label-file label, --name names", async () => {
      const file = join(scratch, "labels");
      writeFileSync(file, "c=3\n");
      const id = await client.output([
        "create",
        "--name",
        "labelled",
        "-l",
        "a=b",
        "--label",
        "bare",
        "--label-file",
        file,
        "host",
      ]);
      const labels = JSON.parse(await client.output(["inspect", "-f", "{{json .Config.Labels}}", "labelled"]));
      await client.output(["rm", "labelled"]);

      assert.match(id, /^[0-9a-f]{64}$/);
      assert.deepEqual(labels, { a: "b", bare: "", c: "3" });
    });

    it("--cidfile keeps the id, and is never overwritten", async () => {
      const file = join(scratch, `cid-${name}`);
      assert.equal((await run(["--cidfile", file, "host", "true"])).code, 0);
      assert.match(readFileSync(file, "utf8"), /^[0-9a-f]{64}$/);
      const again = await run(["--cidfile", file, "host", "true"]);

      assert.equal(again.code, 125);
      assert.match(again.stderr, /container ID file found|exists/i);
    });

    it("--entrypoint replaces the image's", async () => {
      assert.equal((await run(["--entrypoint", "echo", "host", "a", "b"])).stdout, "a b\n");
      assert.equal((await run(["--entrypoint", "/bin/hostname", "-h", "jar", "host"])).stdout, "jar\n");
    });

    it("-d prints the id and leaves it running; --rm removes it at its end", async () => {
      const id = await client.output(["run", "-d", "--rm", "--name", "back", "host", "sleep", "60"]);
      assert.match(id, /^[0-9a-f]{64}$/);
      assert.equal(await client.output(["ps", "-q", "--no-trunc", "-f", "name=back"]), id);
      await client.output(["stop", "-t", "0", "back"]);
      await untilGone(client, "back");
    });

    it("-itd makes a terminal that nobody looks at", async () => {
      await client.output(["run", "-itd", "--rm", "--name", "itd", "host", "sh"]);
      const [state] = JSON.parse(await client.output(["inspect", "itd"]));
      assert.deepEqual([state.Config.Tty, state.Config.OpenStdin, state.State.Running], [true, true, true]);
      assert.equal(await client.output(["exec", "itd", "sh", "-c", "readlink /proc/1/fd/0"]), "/dev/pts/0");
      await client.output(["rm", "-f", "itd"]);
    });

    it("ends as its program does", async () => {
      const status = async (...args: string[]) => (await run(args)).code;
      assert.equal(await status("host", "true"), 0);
      assert.equal(await status("host", "sh", "-c", "exit 42"), 42);
      assert.equal(await status("host", "sh", "-c", "kill -9 $$; exit 1"), 1, "PID 1 doesn't end by its own signals");
      assert.equal(await status("--init", "host", "sh", "-c", "kill -9 $$"), 137);
      assert.equal(await status("--init", "host", "sh", "-c", "kill -15 $$"), 143);
    });

    it("ends with 125, 126 and 127 when nothing ran", async () => {
      const refused = async (...args: string[]) => {
        const { code, stderr } = await run(args);
        return `${code}: ${stderr.split("\n")[0]}`;
      };
      assert.match(await refused("host", "absent"), /^127: .*exec: "absent": .*(not found|no such file)/);
      assert.match(await refused("host", "/etc/passwd"), /^126: .*permission denied/);
      assert.match(await refused("-u", "nosuch", "host", "true"), /^125: .*unable to find user nosuch/);
      assert.match(await refused("--bogus", "host"), /^125: unknown flag: --bogus/);
      assert.match(await refused("--memory", "1m", "host", "true"), /^125: .*6MB/);
      assert.match(await refused("--cap-add", "FLY", "host", "true"), /^125: .*CAP_FLY/);
      // Docker's client reads the sentence, and takes this for a missing program.
      assert.match(await refused("--device", "/dev/absent", "host", "true"), /^127: .*"\/dev\/absent": no such file/);
      assert.match(await refused("--network", "absent", "host", "true"), /^125: .*network absent not found/);
      assert.match(await refused("-v", "relative:", "host", "true"), /^125: /);
      assert.match(await refused("-w", "relative", "host", "true"), /^125: .*relative/);
      assert.match(await refused("--ulimit", "bogus=1", "host", "true"), /^125: .*bogus/);
      assert.equal((await client.output(["ps", "-aq"])).trim(), "", "and nothing is left of them");
    });

    it("--stop-signal and --stop-timeout say how it is stopped", async () => {
      const trap = "trap 'exit 5' USR1; while :; do sleep 0.05; done";
      await client.output(["run", "-d", "--name", "polite", "--stop-signal", "USR1", "host", "sh", "-c", trap]);
      await untilTrapped(client, "polite", constants.signals.SIGUSR1);
      await client.output(["stop", "polite"]);
      assert.equal(await client.output(["wait", "polite"]), "5");
      await client.output(["rm", "polite"]);

      const deaf = "trap '' TERM; while :; do sleep 0.05; done";
      await client.output(["run", "-d", "--name", "deaf", "--stop-timeout", "1", "host", "sh", "-c", deaf]);
      await untilIgnored(client, "deaf", constants.signals.SIGTERM);
      const startedMs = Date.now();
      await client.output(["stop", "deaf"]);
      assert.ok(Date.now() - startedMs >= 950 && Date.now() - startedMs < 8000, `${Date.now() - startedMs} ms`);
      assert.equal(await client.output(["wait", "deaf"]), "137");
      await client.output(["rm", "deaf"]);
    });

    it("--restart on-failure starts again, as often as it says", async () => {
      const counts = join(scratch, `counts-${name}`);
      mkdirSync(counts);
      const id = await client.output([
        "run",
        "-d",
        "--restart",
        "on-failure:2",
        "-v",
        `${counts}:/c`,
        "host",
        "sh",
        "-c",
        "echo x >> /c/runs; exit 1",
      ]);
      for (let tries = 0; tries < 100; tries++) {
        const state = await client.output(["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", id]);
        if (state === "exited 2") break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.equal(readFileSync(join(counts, "runs"), "utf8"), "x\nx\nx\n");
      await client.output(["rm", id]);
    });

    it("-v binds a folder, and both sides see what either writes", async () => {
      const folder = join(scratch, `bind-${name}`);
      mkdirSync(folder);
      writeFileSync(join(folder, "from-host"), "h");
      assert.equal(
        (await run(["-v", `${folder}:/data`, "host", "sh", "-c", "cat /data/from-host; echo c > /data/from-inside"]))
          .stdout,
        "h",
      );
      assert.equal(readFileSync(join(folder, "from-inside"), "utf8"), "c\n");
      const readonly = await run([
        "-v",
        `${folder}:/data:ro`,
        "host",
        "sh",
        "-c",
        "cat /data/from-host; touch /data/x",
      ]);
      assert.equal(readonly.stdout, "h");
      assert.match(readonly.stderr, /Read-only file system/);
    });

    it("-v makes a source that isn't there, --mount refuses it", async () => {
      const folder = join(scratch, `missing-${name}`, "deep");
      assert.equal((await run(["-v", `${folder}:/data`, "host", "touch", "/data/x"])).code, 0);
      assert.ok(statSync(join(folder, "x")).isFile());
      const refused = await run(["--mount", `type=bind,source=${folder}/absent,target=/data`, "host", "true"]);
      assert.equal(refused.code, 125);
      assert.match(refused.stderr, /bind source path does not exist: .*\/absent/);
      assert.ok(!existsSync(join(folder, "absent")));
    });

    it("-v binds a file over another or where there is none", async () => {
      const file = join(scratch, `file-${name}`);
      writeFileSync(file, "mine\n");
      const { stdout, stderr } = await run([
        "-v",
        `${file}:/etc/passwd:ro`,
        "-v",
        `${file}:/new/place/file`,
        "host",
        "cat",
        "/etc/passwd",
        "/new/place/file",
      ]);
      assert.equal(stdout, "mine\nmine\n", stderr);
    });

    it("-v follows a link of the host's, and keeps a link of the image's inside", async () => {
      const real = join(scratch, `real-${name}`);
      const outside = join(scratch, `outside-${name}`);
      mkdirSync(real);
      writeFileSync(join(real, "f"), "real");
      symlinkSync(real, join(scratch, `link-${name}`));
      assert.equal((await run(["-v", `${join(scratch, `link-${name}`)}:/d`, "host", "cat", "/d/f"])).stdout, "real");

      // The second start meets a link that the first one left on the way to the mount's target.
      const script = `if [ -h /way ]; then cat ${outside}/in/f; else umount /way/in; rm -r /way; mkdir -p ${outside}; ln -s ${outside} /way; fi`;
      await client.output([
        "create",
        "--name",
        "linked",
        "--cap-add",
        "SYS_ADMIN",
        "--security-opt",
        "seccomp=unconfined",
        "-v",
        `${real}:/way/in`,
        "host",
        "sh",
        "-c",
        script,
      ]);
      await client.output(["start", "-a", "linked"]);
      assert.equal(await client.output(["start", "-a", "linked"]), "real");
      assert.ok(!existsSync(outside));
      await client.output(["rm", "linked"]);
    });

    it("--security-opt seccomp=FILE filters by that profile", async () => {
      const profile = join(scratch, "profile.json");
      const rule = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 };
      writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] }));
      const { stderr, stdout } = await run([
        "--security-opt",
        `seccomp=${profile}`,
        "host",
        "sh",
        "-c",
        "mkdir /x; grep ^Seccomp: /proc/self/status",
      ]);
      assert.match(stderr, /cannot create directory.*Operation not supported/);
      assert.equal(stdout, "Seccomp:\t2\n");
      const broken = await run(["--security-opt", `seccomp=${join(scratch, "absent.json")}`, "host", "true"]);
      assert.equal(broken.code, 125);
    });

    it("limits take effect: forks beyond --pids-limit fail", async () => {
      const { stderr } = await run([
        "--pids-limit",
        "5",
        "host",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait",
      ]);
      assert.match(stderr, /fork/i);
    });

    it("a container made again knows nothing of the one before", async () => {
      await run(["host", "sh", "-c", "echo trace > /trace; echo more >> /etc/passwd"]);
      const { stdout } = await run(["host", "sh", "-c", "ls / | grep trace; grep -c more /etc/passwd"]);
      assert.equal(stdout, "0\n");
    });
  });
}

async function untilGone(client: Client, name: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await client.output(["ps", "-aq", "-f", `name=${name}`])) === "") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${name} is still there`);
}

const untilTrapped = (client: Client, container: string, signal: number) =>
  untilStatus(client, container, "SigCgt", signal);
const untilIgnored = (client: Client, container: string, signal: number) =>
  untilStatus(client, container, "SigIgn", signal);

/** Waits until PID 1 has said what it does with a signal: one that comes before would be lost. */
async function untilStatus(client: Client, container: string, field: string, signal: number): Promise<void> {
  const script = `until [ $(( 0x$(awk '/${field}/{print $2}' /proc/1/status) >> ${signal - 1} & 1 )) = 1 ]; do sleep 0.02; done`;
  await client.output(["exec", container, "sh", "-c", script]);
}
