/** What the compiled programs do on a real kernel: ways out that were found in other engines, and execs. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { execProcessFor } from "../../src/engine/spec.ts";
import { compileExec } from "../../src/runtime/compile/compile-exec.ts";
import { ContainerFixture, outcomeOf, root } from "./container-fixture.ts";

let fixture: ContainerFixture;
before(async () => {
  fixture = await ContainerFixture.open("runtime");
});
after(() => fixture[Symbol.asyncDispose]());

describe("a hostile image", () => {
  it("gets no /proc behind a link of its own (CVE-2019-19921)", async () => {
    for (const name of ["proc", "sys", "dev"]) {
      const image = (lower: string) => symlinkSync("/tmp", join(lower, name));

      await assert.rejects(fixture.run({ argv: ["true"], image }), { code: "step_failed", errno: "ENOTDIR" });
    }
  });

  it("can't lead the engine's mounts to the host (CVE-2021-30465)", async () => {
    const host = join(fixture.scratch, "host");
    mkdirSync(host);
    const image = (lower: string) => {
      rmSync(join(lower, "etc"), { recursive: true });
      symlinkSync(host, join(lower, "etc"));
      symlinkSync(`../../../../../../../../..${host}/made`, join(lower, "data"));
    };
    const mount = { kind: "tmpfs", target: "/data", options: [] } as const;
    const outcome = await fixture
      .run({ argv: ["sh", "-c", "cat /etc/hosts"], image, config: { mounts: [mount] } })
      .catch((error) => error);

    assert.deepEqual(readdirSync(host), []);
    assert.ok(outcome.code === "step_failed" || outcome.stdout.includes("localhost"));
  });

  it("can't have its working directory outside (CVE-2024-21626)", async () => {
    const argv = ["sh", "-c", "ls ../../../../../../../../../../../../; pwd -P"];
    for (let descriptor = 3; descriptor < 40; descriptor++) {
      for (const workingDirectory of [`/proc/self/fd/${descriptor}`, "/work"]) {
        const image = (lower: string) => symlinkSync(`/proc/self/fd/${descriptor}`, join(lower, "work"));
        const outcome = await fixture.run({ argv, image, workingDirectory }).catch((error) => error);

        // Refused, or a descriptor of the container's own: then what is above is the container's root.
        if (outcome.code !== undefined) assert.match(outcome.message, /cd \/(proc|work)/);
        else assert.ok(outcome.stdout.includes("real\n") && !outcome.stdout.includes("boot\n"), outcome.stdout);
      }
    }
  });

  it("can't undo the masks with a volume that a link leads into /proc (CVE-2023-27561, CVE-2025-52881)", async () => {
    const image = (lower: string) => symlinkSync("/proc/sys", join(lower, "data"));
    const mount = { kind: "tmpfs", target: "/data", options: [] } as const;
    const script =
      "cat /proc/timer_list | wc -c; echo x > /proc/sys/kernel/core_pattern; touch /proc/sys/x; ls /proc/acpi | wc -l";
    const { stdout, stderr } = await fixture.run({ argv: ["sh", "-c", script], image, config: { mounts: [mount] } });

    assert.equal(stdout, "0\n0\n");
    assert.match(stderr, /core_pattern/);
  });

  it("can't put another file in the place of /dev/null (CVE-2025-31133)", async () => {
    const file = join(fixture.scratch, "null");
    writeFileSync(file, "not null");
    const mount = {
      kind: "bind",
      source: file,
      target: "/dev/null",
      readonly: false,
      createSource: false,
      recursive: false,
    } as const;

    await assert.rejects(fixture.run({ argv: ["true"], config: { mounts: [mount] } }), {
      code: "step_failed",
      errno: "ENODEV",
    });
  });

  it("can't make namespaces or mounts, or see what was masked", async () => {
    const script =
      "unshare -U true; mount -t tmpfs x /tmp; umount /proc/timer_list; wc -c < /proc/timer_list; chroot / true && echo chroot";
    const { stdout, stderr } = await fixture.run({ argv: ["sh", "-c", script] });

    assert.equal(stdout, "0\nchroot\n");
    assert.equal(stderr.match(/not permitted|denied|superuser/g)?.length, 3, stderr);
  });
});

describe("an exec", () => {
  const look =
    "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done; grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; cat /proc/self/cgroup; pwd";

  it("is where the container is, with the same rights", async () => {
    const id = fixture.newId();
    const script = `${look}; exec sleep 60`;
    const monitor = await fixture.executor.launch(
      await fixture.program(id, { argv: ["sh", "-c", script], workingDirectory: "/tmp" }),
      { subscribe: true },
    );
    const container = outcomeOf(monitor);

    const run = async (command: readonly string[], workingDirectory?: string) => {
      const input = {
        config: { image: "x" },
        exec: { command, ...(workingDirectory === undefined ? {} : { workingDirectory }) },
        settings: { env: ["PATH=/usr/bin"], workingDirectory: "/tmp" },
        user: root,
        facts: fixture.facts,
        hostname: "tuna",
      };
      const program = compileExec(execProcessFor(input), fixture.facts, {
        target: monitor,
        join: fixture.cgroups.joinSteps(id),
        monitor: [{ op: "stdio", terminal: false, stdin: false, rows: 0, columns: 0 }],
      });
      return outcomeOf(await fixture.executor.launch(program, { subscribe: true }));
    };
    const exec = await run(["sh", "-c", look]);
    const failed = await run(["sh", "-c", "exit 3"]);
    const escapes = await Promise.allSettled(
      [3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((fd) =>
        run(["sh", "-c", "ls ../../../../../../.."], `/proc/self/fd/${fd}`),
      ),
    );
    monitor.kill(9);
    const { stdout, tornDown } = await container;

    assert.equal(exec.stdout, stdout, exec.stderr);
    assert.equal(failed.status, 3);
    assert.deepEqual(tornDown, []);
    for (const attempt of escapes) {
      if (attempt.status === "fulfilled") assert.ok(!attempt.value.stdout.includes("boot\n"), attempt.value.stdout);
    }
    await assert.rejects(run(["true"]), { errno: "ESRCH" });
  });
});
