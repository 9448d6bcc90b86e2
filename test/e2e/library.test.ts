/** The engine inside a program of one's own. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { placesFor } from "../../src/engine/data-root.ts";
import { Engine, isOnggiError, type OutputChunk } from "../../src/index.ts";
import { hostInventory, type Inventory, leaks } from "../host-inventory.ts";
import { clearHost } from "./clear-host.ts";
import { until } from "./container-calls.ts";
import { runCommand } from "./run-command.ts";

const checkout = join(import.meta.dirname, "../..");

let scratch: string;
let root: string;
let engine: Engine;
let atFirst: Inventory;

const scope = () => {
  const places = placesFor({ root });
  return { roots: [places.root, places.runRoot], bridge: places.bridge, cgroupParent: places.cgroupParent };
};

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-library-"));
  root = join(scratch, "data");
  engine = await Engine.open({ root });
  await engine.ensureHostImage();
  await using warm = await engine.run({ image: "host", command: ["true"] });
  await warm.wait();
  await untilGone(warm.id);
  atFirst = hostInventory(scope());
});

after(async () => {
  await engine?.close();
  await clearHost(scope());
  rmSync(placesFor({ root }).runRoot, { recursive: true, force: true });
  rmSync(scratch, { recursive: true, force: true });
});

describe("the library", () => {
  it("runs README's example", async () => {
    const readme = readFileSync(join(checkout, "README.md"), "utf8");
    const example = /```ts\n(import \{ Engine \} from "onggi";\n[\s\S]*?)```/.exec(readme)?.[1];
    assert.ok(example !== undefined);
    const own = join(scratch, "example");
    // Inside the package, so that its own name leads to it.
    const path = join(checkout, "build", `example-${process.pid}.mts`);
    writeFileSync(
      path,
      `${example.replace("/var/lib/my-sandboxes", own)}\nprocess.stdout.write(\`\${exitCode} \${stdout}\`);\n`,
    );
    try {
      const { code, stdout, stderr } = await runCommand(process.execPath, [path], { timeoutMs: 30_000 });
      assert.deepEqual([code, stdout], [0, "hello\n0 straight through\n"], stderr);
    } finally {
      rmSync(path);
    }
    const places = placesFor({ root: own });
    const left = hostInventory({
      roots: [places.root, places.runRoot],
      bridge: places.bridge,
      cgroupParent: places.cgroupParent,
    });
    assert.deepEqual(left.processes, []);
    assert.deepEqual(left.mounts, []);
    assert.deepEqual(
      left.files.filter((file) => /\/containers\/[0-9a-f]{64}/.test(file)),
      [],
    );
    await clearHost({ roots: [places.root, places.runRoot], bridge: places.bridge, cgroupParent: places.cgroupParent });
    rmSync(places.runRoot, { recursive: true, force: true });
  });

  it("gives output, apart, and the exit status", async () => {
    await using box = await engine.run({ image: "host", command: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
    const { exitCode, stdout, stderr } = await box.result();

    assert.deepEqual([exitCode, stdout.toString(), stderr.toString()], [3, "out\n", "err\n"]);
  });

  it("streams output as it comes, and holds back whoever isn't read", async () => {
    await using box = await engine.run({
      image: "host",
      command: ["sh", "-c", "echo first; head -c 8000000 /dev/zero; echo last"],
    });
    const iterator = box.output[Symbol.asyncIterator]();
    const first = await iterator.next();
    assert.equal(Buffer.from((first.value as OutputChunk).data.subarray(0, 6)).toString(), "first\n");
    await sleep(300);
    assert.equal(box.inspect().state.status, "running", "8 MB don't fit into what waits unread");
    let bytes = (first.value as OutputChunk).data.length;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
      bytes += next.value.data.length;
    assert.equal(bytes, 6 + 8_000_000 + 5);
  });

  it("passes input on", async () => {
    await using box = await engine.run({ image: "host", command: ["cat"], openStdin: true, stdinOnce: true });
    await box.writeStdin("one\n");
    await box.writeStdin(Buffer.from("two\n"));
    box.closeStdin();
    assert.equal((await box.result()).stdout.toString(), "one\ntwo\n");
  });

  it("execs with input, environment, user and directory", async () => {
    await using box = await engine.run({ image: "host", command: ["sleep", "60"] });
    const input = Buffer.alloc(1_000_000, "abcdefghi\n");
    const copied = await box.exec(["cat"], { input });
    assert.deepEqual([copied.exitCode, copied.stdout.equals(input)], [0, true]);
    const other = await box.exec(["sh", "-c", "echo $A $(id -u) $(pwd); echo no >&2; exit 4"], {
      env: ["A=1"],
      user: "65534",
      workingDirectory: "/tmp",
    });
    assert.deepEqual([other.exitCode, other.stdout.toString(), other.stderr.toString()], [4, "1 65534 /tmp\n", "no\n"]);
    await assert.rejects(box.exec(["absent"]), { code: "command_not_found" });
  });

  it("many at a time don't disturb each other", async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, async (_, number) => {
        await using box = await engine.run({ image: "host", command: ["sh", "-c", `echo ${number}`] });
        return (await box.result()).stdout.toString();
      }),
    );
    assert.deepEqual(results, ["0\n", "1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"]);
  });

  it("kills the container when the signal aborts", async () => {
    const controller = new AbortController();
    await using box = await engine.run({ image: "host", command: ["sleep", "60"] }, { signal: controller.signal });
    controller.abort();
    assert.equal((await box.wait()).exitCode, 137);
  });

  it("starts nothing when it was aborted before, and lets the reason through", async () => {
    const reason = new Error("changed my mind");
    await assert.rejects(
      engine.run({ image: "host", command: ["true"] }, { signal: AbortSignal.abort(reason) }),
      reason,
    );
  });

  it("aborts while it starts, and leaves nothing", async () => {
    for (const delayMs of [0, 1, 2, 5, 10, 20]) {
      const controller = new AbortController();
      const reason = new Error("late");
      setTimeout(() => controller.abort(reason), delayMs);
      try {
        await using box = await engine.run({ image: "host", command: ["sleep", "60"] }, { signal: controller.signal });
        assert.equal((await box.wait()).exitCode, 137);
      } catch (error) {
        assert.equal(error, reason);
      }
    }
    assert.deepEqual(engine.containers.list(), []);
  });

  it("removes what leaves the block, whatever happened in it", async () => {
    let id = "";
    await assert.rejects(async () => {
      await using box = await engine.run({ image: "host", command: ["sleep", "60"] });
      id = box.id;
      throw new Error("in the block");
    }, /in the block/);
    assert.throws(() => engine.containers.get(id), { code: "not_found" });
  });

  it("keeps what is asked to be kept", async () => {
    const { id } = await engine.containers.create({ image: "host", name: "kept", command: ["sh", "-c", "echo kept"] });
    await engine.containers.start("kept");
    assert.deepEqual(await engine.containers.wait("kept", "not-running"), { exitCode: 0, error: "" });
    const chunks: string[] = [];
    for await (const { data } of engine.containers.logs(id, {
      stdout: true,
      stderr: true,
      follow: false,
      timestamps: false,
    }))
      chunks.push(Buffer.from(data).toString());
    assert.equal(chunks.join(""), "kept\n");
    await engine.containers.remove("kept");
  });

  it("says what is wrong by code", async () => {
    await assert.rejects(engine.run({ image: "absent" }), { code: "not_found" });
    await assert.rejects(engine.run({ image: "host", command: ["absent"] }), { code: "command_not_found" });
    await assert.rejects(engine.run({ image: "host", command: ["/etc/passwd"] }), { code: "command_not_executable" });
    await assert.rejects(engine.run({ image: "host", command: ["true"], resources: { memoryBytes: 5 } }), {
      code: "invalid",
    });
    await assert.rejects(
      Engine.open({ root }),
      (error) => isOnggiError(error, "in_use") && error.message.includes(String(process.pid)),
    );
  });

  it("tells what happens", async () => {
    const controller = new AbortController();
    const actions: string[] = [];
    const listening = (async () => {
      for await (const { action } of engine.events.subscribe({ signal: controller.signal })) actions.push(action);
    })();
    await (await engine.run({ image: "host", command: ["true"] })).wait();
    for (let tries = 0; tries < 100 && !actions.includes("destroy"); tries++) await sleep(20);
    controller.abort();
    await listening.catch(() => {});
    assert.deepEqual(actions, ["create", "start", "die", "destroy"]);
  });

  it("has volumes", async () => {
    const mounts = [{ kind: "volume", name: "kept", target: "/d", readonly: false, copy: true }] as const;
    const write = async (text: string) => {
      await using box = await engine.run({
        image: "host",
        mounts,
        command: ["sh", "-c", `cat /d/file; echo ${text} > /d/file`],
      });
      return (await box.result()).stdout.toString();
    };
    assert.equal(await write("one"), "");
    await engine.volumes.snapshot("kept", "first");
    assert.equal(await write("two"), "one\n");
    await until("nobody has it", () => engine.volumes.get("kept").users.length === 0);
    await engine.volumes.rollback("kept", "first");
    assert.equal(await write("three"), "one\n");
    await until("nobody has it", () => engine.volumes.get("kept").users.length === 0);
    await engine.volumes.remove("kept");
    assert.throws(() => engine.volumes.get("kept"), { code: "not_found" });
  });

  it("leaves nothing of any of them", async () => {
    let left: readonly string[] = [];
    for (let tries = 0; tries < 100; tries++, await sleep(50)) {
      left = leaks(atFirst, hostInventory(scope()), ["mounts", "cgroups", "links", "netns", "nft", "files"]);
      if (left.length === 0) break;
    }
    assert.deepEqual(left, []);
  });

  it("finds its containers again when it is opened anew", async () => {
    const { id } = await engine.containers.create({ image: "host", name: "stays", command: ["sleep", "60"] });
    await engine.containers.start(id);
    await engine.close();
    engine = await Engine.open({ root });
    assert.equal(engine.containers.get("stays").state.status, "running");
    await engine.containers.remove("stays", { force: true });
    assert.ok(!existsSync(join(root, "containers", id)));
  });
});

async function untilGone(id: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++, await sleep(20))
    if (engine.containers.list().every((one) => one.id !== id)) return;
  assert.fail(`${id} is still there`);
}
