/** Runs the scripts of `explain` beside the executor's own containers: both must come out the same. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openBridgeNetwork } from "../../src/network/bridge-network.ts";
import type { BridgeNetwork } from "../../src/network/network.ts";
import { explain } from "../../src/program/explain.ts";
import { ContainerFixture, type ContainerWish } from "./container-fixture.ts";

const bridge = "ogexplain0";

/** What a process can see of the container it is in, a section after the other. */
const probe = `
for namespace in cgroup ipc mnt net pid user uts; do
  case " $HOST_NAMESPACES " in *" $(readlink /proc/self/ns/$namespace) "*) echo "$namespace host's" ;; *) echo "$namespace own" ;; esac
done
echo "pid $$"
echo "--- status"; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)' /proc/self/status
echo "--- names"; uname -n; cat /proc/sys/kernel/domainname
echo "--- place"; pwd; id; env | sort
echo "--- mounts"; cut -d' ' -f4- /proc/self/mountinfo | sed -E 's/ (shared|master):[0-9]+//; s/,uuid=on//' | sort
echo "--- dev"; cd /dev && stat -c '%n %a %u %g %t:%T %N' * ; cd /
echo "--- files"; ls -ld / /work /srv 2>&1; cat /etc/hosts 2>&1; ls /proc/acpi /sys/firmware 2>&1; wc -c < /proc/kcore; touch /proc/sysrq-trigger /sys/x / 2>&1
echo "--- cgroup"; cat /proc/self/cgroup; cat /sys/fs/cgroup/*/memory.limit_in_bytes /sys/fs/cgroup/*/cpu.cfs_quota_us /sys/fs/cgroup/*/pids.max /sys/fs/cgroup/{memory,pids,cpu}.max 2>/dev/null
echo "--- limits"; ulimit -n; ulimit -c; cat /proc/self/oom_score_adj
echo "--- parameters"; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/msgmax 2>&1
echo "--- network"; { ip -o link; ip -o addr; } | grep -E '^[0-9]+: (lo|eth0)' | sed -E 's/if[0-9]+/if/; s/link-netnsid [0-9]+//'; ip route | grep eth0
echo "--- arguments"; printf '<%s>' "$@"
`;

let fixture: ContainerFixture;
let network: BridgeNetwork;

before(async () => {
  fixture = await ContainerFixture.open("explain");
  network = await openBridgeNetwork({
    name: "explain",
    bridge,
    root: join(fixture.scratch, "networks"),
    runRoot: join(fixture.scratch, "leases"),
    perform: async (ops) => {
      const worker = await fixture.executor.work([]);
      try {
        return await worker.run(ops);
      } finally {
        await worker.close();
      }
    },
  });
});

after(async () => {
  await fixture[Symbol.asyncDispose]();
  await run("ip", ["link", "delete", bridge]);
  await run("nft", ["delete", "table", "ip", `onggi-${bridge}`]);
});

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(file: string, args: readonly string[]): Promise<Said> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => {
    stdout += String(data);
  });
  child.stderr.on("data", (data) => {
    stderr += String(data);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ status: code ?? -1, stdout, stderr }));
  });
}

/** Makes the container both ways, one after the other from the same parts, and compares what is seen inside. */
async function assertSame(wish: Partial<ContainerWish>): Promise<{ readonly stdout: string; readonly script: string }> {
  const id = fixture.newId();
  const hostNamespaces = (await run("sh", ["-c", "readlink /proc/self/ns/*"])).stdout.trim().split("\n");
  const program = await fixture.program(id, {
    argv: ["bash", "-c", probe, "probe", "a b", "it's", "", "\\"],
    env: ['QUOTED=it\'s "$x" \\ ü', `HOST_NAMESPACES=${hostNamespaces.join(" ")}`],
    ...wish,
  });
  const script = explain(program, { id, name: "probe", image: "test" });
  const scriptPath = join(fixture.scratch, id, "script");
  writeFileSync(scriptPath, script);

  const own = await fixture.launch(program);
  const byHand = await run("bash", [scriptPath]);

  assert.deepEqual(own.tornDown, []);
  assert.equal(byHand.stderr, own.stderr);
  assert.equal(differences(own.stdout, byHand.stdout), "");
  assert.equal(byHand.status, own.status);
  for (const group of ["memory", "pids", "cpu"]) {
    assert.ok(!existsSync(`/sys/fs/cgroup/${group}/onggi-explain/${id}`), `the script leaves the cgroup ${group}`);
  }
  return { stdout: own.stdout, script };
}

/** Lines that only one of the two has. */
function differences(own: string, byHand: string): string {
  const [left, right] = [own.split("\n"), byHand.split("\n")];
  const missing = left.filter((line) => !right.includes(line)).map((line) => `engine: ${line}`);
  const added = right.filter((line) => !left.includes(line)).map((line) => `script: ${line}`);
  return [...missing, ...added].join("\n");
}

describe("explain", () => {
  it("makes a default container", async () => {
    const { stdout, script } = await assertSame({});

    assert.match(stdout, /^pid 1$/m);
    assert.match(stdout, /NoNewPrivs:\s+0\nSeccomp:\s+2/);
    assert.match(stdout, /^net own$/m);
    for (const command of [
      "unshare --mount",
      "hostname tuna",
      "mount -t overlay overlay",
      "pivot_root . .",
      "umount -l .",
    ]) {
      assert.ok(script.includes(command), command);
    }
  });

  it("makes one with limits", async () => {
    const { stdout } = await assertSame({
      config: {
        resources: { memoryBytes: 64 * 2 ** 20, nanoCpus: 2e8, pidsLimit: 50 },
        ulimits: [{ name: "nofile", soft: 100, hard: 200 }],
        oomScoreAdj: 300,
      },
    });

    assert.match(stdout, /^67108864$/m);
    assert.match(stdout, /^100$/m);
  });

  it("makes one for a user with few rights", async () => {
    const { stdout } = await assertSame({
      user: { uid: 1234, gid: 567, groups: [8, 9], home: "/nowhere" },
      workingDirectory: "/work",
      config: {
        readonlyRootfs: true,
        securityOptions: ["no-new-privileges"],
        capDrop: ["ALL"],
        capAdd: ["NET_ADMIN"],
        domainname: "sea",
        sysctls: { "kernel.msgmax": "9000" },
        mounts: [
          { kind: "tmpfs", target: "/tmp", options: ["size=1m", "mode=1777"] },
          { kind: "bind", source: "/etc", target: "/srv/etc", readonly: true, createSource: false, recursive: true },
        ],
      },
    });

    assert.match(stdout, /^uid=1234/m);
    assert.match(stdout, /CapEff:\s+0{16}/);
    assert.match(stdout, / \/real\/etc ro/);
  });

  it("makes a privileged one in the host's network", async () => {
    const { stdout } = await assertSame({ config: { privileged: true, network: "host" } });

    assert.match(stdout, /^net host's$/m);
    assert.match(stdout, /Seccomp:\s+0/);
  });

  it("makes one with an init, and ends as its program does", async () => {
    await assertSame({ config: { init: true }, argv: ["bash", "-c", 'echo "child of $PPID"; exit 7'] });
  });

  it("makes one on a bridge", async () => {
    const { stdout } = await assertSame({
      config: { network: "bridge" },
      network: async (id) => {
        const { steps } = await network.connect(id, [
          { containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 0 },
        ]);
        return steps;
      },
    });

    assert.match(stdout, /eth0 {4}inet/);
    assert.match(stdout, /^default via/m);
  });

  it("says when the program isn't there, with the status of a shell", async () => {
    const id = fixture.newId();
    const program = await fixture.program(id, { argv: ["no-such-program"] });
    const scriptPath = join(fixture.scratch, id, "script");
    writeFileSync(scriptPath, explain(program, { id, name: "missing", image: "test" }));

    const { status, stderr } = await run("bash", [scriptPath]);

    assert.equal(status, 127);
    assert.match(stderr, /no-such-program: No such file/);
  });

  it("runs on the terminal at hand where the engine would make one", async () => {
    const id = fixture.newId();
    const program = await fixture.program(id, {
      argv: ["sh", "-c", "tty; ls /dev/console"],
      config: { terminal: true },
    });
    const scriptPath = join(fixture.scratch, id, "script");
    writeFileSync(scriptPath, explain(program, { id, name: "terminal", image: "test" }));

    const { stdout, stderr } = await run("bash", [scriptPath]);

    assert.match(stdout, /not a tty/);
    assert.match(stderr, /\/dev\/console/);
  });
});
