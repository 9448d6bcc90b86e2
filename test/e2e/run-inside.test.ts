/** What a container sees of itself, of its kernel and of its host. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

let daemon: TestDaemon;
let atFirst: Inventory;

before(async () => {
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
  }
});

for (const name of clientNames) {
  describe(`inside, by ${name}`, { skip: skipOf(name) }, () => {
    let client: Client;
    const shell = (script: string, ...flags: string[]) =>
      client.output(["run", "--rm", ...flags, "host", "sh", "-c", `${script}\n:`]);
    before(() => {
      client = clientOf(name, daemon);
    });

    it("has six namespaces of its own, and the host's user and time", async () => {
      const types = ["mnt", "pid", "uts", "ipc", "net", "cgroup", "user", "time"];
      const links = (await shell(types.map((type) => `readlink /proc/self/ns/${type}`).join("\n"))).split("\n");
      const same = types.filter((type, at) => readlinkSync(`/proc/self/ns/${type}`) === links[at]);

      assert.equal(links.length, 8);
      assert.deepEqual(same, ["user", "time"]);
    });

    it("gives each container namespaces of its own", async () => {
      const script = "for type in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$type; done";
      const first = (await shell(script)).split("\n");
      const id = await client.output(["run", "-d", "--rm", "host", "sleep", "60"]);
      const running = (await client.output(["exec", id, "sh", "-c", script])).split("\n");
      const second = (await shell(script)).split("\n");
      await client.output(["rm", "-f", id]);

      assert.equal(first.length, 6);
      for (const link of running) assert.ok(!second.includes(link), link);
    });

    it("is PID 1 and sees only its own processes", async () => {
      assert.equal(await shell("echo $$"), "1");
      const processes = await shell("ps -e -o pid=,comm=");
      assert.match(processes, /^ *1 sh\n *\d+ ps$/);
    });

    it("has left the host's root behind", async () => {
      const mountinfo = await shell("cat /proc/self/mountinfo");
      const points = mountinfo.split("\n").map((line) => line.split(" ")[4] ?? "");
      const allowed = /^\/($|proc($|\/)|sys($|\/)|dev($|\/)|etc\/(hosts|hostname|resolv\.conf)$)/;
      assert.deepEqual(
        points.filter((point) => !allowed.test(point)),
        [],
      );
      assert.equal(points.filter((point) => point === "/").length, 1);
      assert.equal(
        await shell("[ /proc/1/root -ef / ] && ls /proc/1/root/../.. | tr '\\n' ' '; ls / | tr '\\n' ' '").then(
          (text) => new Set(text.split(/ (?=bin)/)).size <= 2,
        ),
        true,
      );
      assert.equal(await shell(`ls ${daemon.root} ${process.cwd()} 2>&1 | grep -vc 'cannot access'`), "0");
      // Mounted somewhere else it would still be there for whoever may unmount.
      assert.equal(
        await shell(
          "umount -l / 2>/dev/null; ls /proc/1/root/ | grep -c '^boot$'",
          "--cap-add",
          "SYS_ADMIN",
          "--security-opt",
          "seccomp=unconfined",
        ),
        "0",
      );
    });

    it("df shows / and nothing of the host", async () => {
      const rows = (await shell("df --output=target | tail -n +2")).split("\n");
      assert.ok(rows.includes("/"));
      assert.deepEqual(
        rows.filter((row) => !/^\/($|dev|sys\/fs\/cgroup|etc\/(hosts|hostname|resolv\.conf)|proc)/.test(row)),
        [],
      );
    });

    it("has a /proc of its own and a /sys to read", async () => {
      const mounts = await shell("cat /proc/self/mounts");
      assert.match(mounts, /^proc \/proc proc rw,nosuid,nodev,noexec/m);
      assert.match(mounts, /^sysfs \/sys sysfs ro,nosuid,nodev,noexec/m);
      assert.match(mounts, /^mqueue \/dev\/mqueue mqueue rw,nosuid,nodev,noexec/m);
      assert.match(mounts, /^devpts \/dev\/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666/m);
      assert.match(mounts, /^shm \/dev\/shm tmpfs rw,nosuid,nodev,noexec,.*size=65536k/m);
      assert.match(mounts, / \/sys\/fs\/cgroup \S+ ro,nosuid,nodev,noexec/);
    });

    it("has a small /dev", async () => {
      const names = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
      assert.equal(await shell("ls /dev | tr '\\n' ' '"), `${names} `);
      assert.equal(
        await shell("stat -c %t:%T:%a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | tr '\\n' ' '"),
        "1:3:666 1:5:666 1:7:666 1:8:666 1:9:666 5:0:666 ",
      );
      assert.equal(
        await shell("readlink /dev/fd /dev/stdin /dev/ptmx | tr '\\n' ' '; echo x > /dev/full").catch((error: Error) =>
          /No space left/.test(error.message) ? "full" : error.message,
        ),
        "/proc/self/fd /proc/self/fd/0 pts/ptmx ",
      );
      assert.match(await shell("echo console; [ -e /dev/console ] && echo there || echo none"), /none/);
    });

    it("may use no device but those", async () => {
      const script =
        "mknod /x b 7 0 && (head -c1 /x 2>&1 | grep -c 'not permitted'); mknod /k c 1 2 && (head -c1 /k 2>&1 | grep -c 'not permitted')";
      assert.equal(await shell(script), "1\n1");
    });

    it("masks what tells of the host, and keeps from writing what changes it", async () => {
      const masked = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"];
      assert.equal(
        await shell(
          `for file in ${masked.join(" ")}; do [ -e $file ] && [ -s $file -o -n "$(head -c1 $file)" ] && echo $file; done`,
        ),
        "",
      );
      for (const folder of ["/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"])
        assert.equal(await shell(`[ -d ${folder} ] && ls -A ${folder}`), "", folder);
      const readonly = [
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/mm/transparent_hugepage/enabled",
      ];
      for (const path of readonly)
        assert.match(
          await shell(`[ -e ${path} ] || echo Read-only; echo x 2>&1 > ${path}`).catch((error: Error) => error.message),
          /Read-only/,
          path,
        );
    });

    it("has the fourteen capabilities and the seccomp filter, all through", async () => {
      const status = await shell("grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status | tr '\\t' ' '");
      assert.equal(
        status,
        "CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2",
      );
      assert.match(
        await shell("unshare --help >/dev/null 2>&1 || true; mount -t tmpfs t /mnt 2>&1"),
        /permission denied|not permitted|must be superuser/,
      );
      assert.match(await shell("hostname other 2>&1; hostname"), /not permitted|must be root|you must/);
      assert.match(await shell("mount -t tmpfs t /tmp 2>&1 && echo mounted", "--cap-add", "SYS_ADMIN"), /mounted/);
    });

    it("knows its name, itself and the host's name servers", async () => {
      const id = await client.output(["run", "-d", "--rm", "--name", "named", "host", "sleep", "60"]);
      const inside = (command: string) => client.output(["exec", "named", "sh", "-c", command]);
      const address = await client.output(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "named"]);

      assert.equal(await inside("cat /etc/hostname; hostname"), `${id.slice(0, 12)}\n${id.slice(0, 12)}`);
      const hosts = await inside("cat /etc/hosts");
      assert.match(hosts, /^127\.0\.0\.1\s+localhost$/m);
      assert.match(hosts, new RegExp(`^${address.replaceAll(".", "\\.")}\\s+${id.slice(0, 12)}$`, "m"));
      assert.match(await inside("cat /etc/resolv.conf"), /^nameserver \S+$/m);
      assert.equal(await inside("echo 1.2.3.4 more >> /etc/hosts && grep -c more /etc/hosts"), "1");
      await client.output(["rm", "-f", "named"]);
    });

    it("--network host shares the host's network and name", async () => {
      const script = "readlink /proc/self/ns/net; hostname; cat /etc/hostname";
      const [net, hostname] = (await shell(script, "--network", "host")).split("\n");
      assert.equal(net, readlinkSync("/proc/self/ns/net"));
      assert.equal(hostname, readFileSync("/proc/sys/kernel/hostname", "utf8").trim());
    });

    it("runs what exec adds in the same place, with the same rights", async () => {
      await client.output([
        "run",
        "-d",
        "--rm",
        "--name",
        "place",
        "-e",
        "A=1",
        "-w",
        "/tmp",
        "-u",
        "nobody",
        "--cap-drop",
        "CHOWN",
        "host",
        "sleep",
        "60",
      ]);
      const script =
        "for type in mnt pid uts ipc net cgroup user; do [ $(readlink /proc/self/ns/$type) = $(readlink /proc/1/ns/$type) ] || echo other $type; done";
      assert.equal(await client.output(["exec", "-u", "0", "--privileged", "place", "sh", "-c", `${script}; :`]), "");
      assert.equal(
        await client.output([
          "exec",
          "place",
          "sh",
          "-c",
          "pwd; id -un; echo $A$B; grep -E '^(CapBnd|Seccomp):' /proc/self/status",
        ]),
        "/tmp\nnobody\n1\nCapBnd:\t00000000a80425fa\nSeccomp:\t2",
      );
      assert.equal(
        await client.output([
          "exec",
          "-u",
          "1:2",
          "-w",
          "/",
          "-e",
          "B=2",
          "place",
          "sh",
          "-c",
          "pwd; id -u; id -g; echo $A$B",
        ]),
        "/\n1\n2\n12",
      );
      const cgroups = await client.output([
        "exec",
        "place",
        "sh",
        "-c",
        "cat /proc/self/cgroup; echo; cat /proc/1/cgroup",
      ]);
      const [own, first] = cgroups.split("\n\n");
      assert.equal(own, first);
      await client.output(["rm", "-f", "place"]);
    });

    it("leaves no descriptor of the engine's open", async () => {
      assert.equal(await shell("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
      const id = await client.output(["run", "-d", "--rm", "host", "sleep", "60"]);
      const pid = await client.output(["inspect", "-f", "{{.State.Pid}}", id]);
      assert.deepEqual(readdirSync(`/proc/${pid}/fd`).sort(), ["0", "1", "2"]);
      assert.equal(await client.output(["exec", id, "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]), "0 1 2 3 ");
      await client.output(["rm", "-f", id]);
    });
  });
}
