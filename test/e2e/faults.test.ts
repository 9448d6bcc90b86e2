/**
 * What users and hosts do wrong: each is told as thing, reason and remedy, with Docker's exit status, and leaves nothing half made.
 *
 * Not here: a kernel without nf_tables, which can't be had beside one that has it (see `src/network` for its message).
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { placesFor } from "../../src/engine/data-root.ts";
import { FakeRegistry } from "../../src/image/fake-registry.ts";
import { hostInventory, type Inventory, leaks } from "../host-inventory.ts";
import { ApiClient } from "./api-client.ts";
import { clearHost } from "./clear-host.ts";
import { inspect, linesOf, until } from "./container-calls.ts";
import { type CommandResult, runCommand, startDaemon, type TestDaemon } from "./harness.ts";
import { foreignElf, manifestType, type OddImage, oddArchive, oddBlobs } from "./odd-images.ts";

const timeout = 60_000;
const checkout = join(import.meta.dirname, "../..");

let daemon: TestDaemon;
let scratch: string;
let serial = 0;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-faults-"));
  daemon = await startDaemon();
  assert.equal((await daemon.onggi(["image", "from-host"])).code, 0);
  await daemon.onggi(["run", "--rm", "host", "true"]);
});

after(async () => {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** A folder that no other case has. */
function ownFolder(): string {
  const path = join(scratch, `case${serial++}`);
  mkdirSync(path);
  return path;
}

/** Runs a command that must fail, and sees to it that it left nothing. */
async function fails(args: readonly string[], code: number, ...says: readonly RegExp[]): Promise<CommandResult> {
  const atFirst = daemon.inventory();
  const result = await daemon.onggi(args, { timeoutMs: 20_000 });
  assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
  for (const text of says) assert.match(result.stderr, text, args.join(" "));
  await leavesNothing(daemon, atFirst);
  return result;
}

/** The trash is emptied later. */
async function leavesNothing(daemon: TestDaemon, atFirst: Inventory): Promise<void> {
  const kinds = ["mounts", "cgroups", "links", "netns", "nft", "files"] as const;
  const left = () => leaks(atFirst, daemon.inventory(), kinds).filter((name) => !name.includes("/trash/"));
  await until(`nothing is left, not ${left().join("\n")}`, () => left().length === 0);
}

describe("a daemon that can't start says why", () => {
  const flagsFor = (root: string, runRoot: string) => [
    join(checkout, "build/daemon.js"),
    ...["--root", root, "--run-root", runRoot, "--host", `unix://${runRoot}/api.sock`, "--bridge", "ogfault"],
  ];
  const starts = (flags: readonly string[], prefix: readonly string[] = []) => {
    const [program = "", ...args] = [...prefix, process.execPath, ...flags];
    return runCommand(program, args, { timeoutMs: 15_000 });
  };

  it("where another has the data root, naming it", { timeout }, async () => {
    const folder = ownFolder();
    for (const runRoot of [daemon.runRoot, join(folder, "run")]) {
      const { code, stderr } = await starts(flagsFor(daemon.root, runRoot));
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`data root ${daemon.root} is in use by process ${daemon.pid} \\(.*daemon\\.js`));
      assert.match(stderr, /--root/);
    }
    assert.equal((await daemon.onggi(["run", "--rm", "host", "true"])).code, 0, "the first isn't disturbed");
  });

  it("where the data root can't be written", { timeout }, async () => {
    const folder = ownFolder();
    mkdirSync(join(folder, "ro"));
    const readOnly = ["unshare", "-m", "sh", "-c", `mount -t tmpfs -o ro none ${folder}/ro && exec "$@"`, "sh"];
    for (const root of [join(folder, "ro"), join(folder, "ro/data")]) {
      const { code, stderr } = await starts(flagsFor(root, join(folder, "run")), readOnly);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`directory ${root} can't be written: .*read-only file system`));
      assert.match(stderr, /--root DIRECTORY/);
    }
    const nowhere = await starts(flagsFor("/proc/nowhere", join(folder, "run")));
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /directory \/proc\/nowhere can't be written/);
  });

  it("without the capabilities that it needs", { timeout }, async () => {
    const folder = ownFolder();
    const flags = flagsFor(join(folder, "data"), join(folder, "run"));
    const dropped = await starts(flags, ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    assert.equal(dropped.code, 1);
    assert.match(dropped.stderr, /the engine lacks CAP_SYS_ADMIN\nRoot has been confined/);
    const other = await starts(flags, ["setpriv", "--reuid", "65534", "--clear-groups"]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /the engine lacks .*CAP_SYS_ADMIN.*\nRun it as root/);
    assert.deepEqual(hostInventory({ roots: [folder], bridge: "ogfault" }).files, []);
  });

  it("with a storage driver that can't work here, or that there isn't", { timeout }, async () => {
    const folder = ownFolder();
    const flags = flagsFor(join(folder, "merged/data"), join(folder, "run"));
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(folder, name));
    const options = `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
    const onOverlay = [
      "unshare",
      "-m",
      "sh",
      "-c",
      `mount -t overlay -o ${options} none ${folder}/merged && exec "$@"`,
    ];
    const { code, stderr } = await starts([...flags, "--storage-driver", "overlay"], [...onOverlay, "sh"]);
    assert.equal(code, 1);
    assert.match(stderr, /no storage driver can work in .*overlay: /);
    assert.match(stderr, /--storage-driver/);
    const unknown = await starts([...flags, "--storage-driver", "nosuch"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /there is no storage driver "nosuch"\nChoose one of .*overlay.*, vfs/);
  });
});

describe("where overlay can't work", () => {
  it("vfs stands in, and info says why", { timeout }, async () => {
    const folder = ownFolder();
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(folder, name));
    const options = `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
    execFileSync("mount", ["-t", "overlay", "-o", options, "onggi-faults", join(folder, "merged")]);
    try {
      const other = await startDaemon({ root: join(folder, "merged/data"), runRoot: join(folder, "run") });
      try {
        assert.equal((await other.onggi(["image", "from-host", "sh", "true"])).code, 0);
        assert.equal((await other.onggi(["run", "--rm", "host", "sh", "-c", "exit 3"])).code, 3);
        const { stdout } = await other.onggi(["info"]);
        assert.match(stdout, /Storage Driver: vfs/);
        assert.match(stdout, /overlay: not usable: overlay can't write onto another overlay/);
      } finally {
        await stopOther(other);
      }
    } finally {
      execFileSync("umount", [join(folder, "merged")]);
    }
  });
});

describe("a full disk", () => {
  let disk: string;
  let full: TestDaemon;
  let api: ApiClient;
  const fill = (leaveKiB: number) => {
    const freeKiB = Number(execFileSync("df", ["-k", "--output=avail", disk], { encoding: "utf8" }).split("\n")[1]);
    if (freeKiB > leaveKiB) writeFileSync(join(disk, "filler"), Buffer.alloc((freeKiB - leaveKiB) * 1024));
  };
  const free = () => rmSync(join(disk, "filler"), { force: true });

  before(async () => {
    disk = ownFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=48m", "onggi-faults", disk]);
    full = await startDaemon({ root: join(disk, "data"), runRoot: join(ownFolder(), "run") });
    assert.equal((await full.onggi(["image", "from-host", "sh", "bash", "seq", "true", "cat", "sleep"])).code, 0);
    api = new ApiClient(full.socket);
  });
  after(async () => {
    await stopOther(full);
    execFileSync("umount", [disk]);
  });

  it("ends a load with a clear word, and what it brought is gone", { timeout }, async () => {
    const files = { program: "#!/bin/sh\n", big: randomBytes(64 * 2 ** 20) };
    const archive = oddArchive(ownFolder(), { reference: "big:1", files });
    const atFirst = full.inventory();
    const { code, stderr } = await full.onggi(["load", "-i", archive]);
    assert.equal(code, 1);
    assert.match(stderr, /no space left on device/);
    assert.match(stderr, /[Ff]ree/);
    await leavesNothing(full, atFirst);
    assert.doesNotMatch((await full.onggi(["images"])).stdout, /big/);
  });

  it("ends a pull and an image of the host alike", { timeout }, async () => {
    const registry = new FakeRegistry();
    await registry.open();
    try {
      const { layer, config, manifest } = oddBlobs(ownFolder(), {
        reference: "",
        files: { big: randomBytes(40 * 2 ** 20) },
      });
      registry.addBlob(layer.bytes);
      registry.addBlob(config.bytes);
      registry.addManifest("big", "latest", JSON.parse(manifest.bytes.toString()) as object, manifestType);
      const atFirst = full.inventory();
      for (const [args, status] of [
        [["pull", `${registry.host}/big`], 1],
        [["run", "--rm", `${registry.host}/big`], 125],
      ] as const) {
        const { code, stderr } = await full.onggi(args);
        assert.equal(code, status, stderr);
        assert.match(stderr, /no space left on device/);
        await leavesNothing(full, atFirst);
      }
      fill(1024);
      const { code, stderr } = await full.onggi(["image", "from-host", "-t", "again"]);
      assert.equal(code, 1);
      assert.match(stderr, /no space left on device/);
      free();
      await leavesNothing(full, atFirst);
    } finally {
      free();
      await registry.close();
    }
  });

  it("refuses a container that can't be recorded, and makes half of none", { timeout }, async () => {
    const atFirst = full.inventory();
    fill(0);
    try {
      const { code, stderr } = await full.onggi(["create", "--name", "halfmade", "host", "true"]);
      assert.equal(code, 1);
      assert.match(stderr, /no space left on device/i);
    } finally {
      free();
    }
    await leavesNothing(full, atFirst);
    assert.equal((await full.onggi(["run", "--rm", "--name", "halfmade", "host", "true"])).code, 0, "the name is free");
  });

  it("lets a daemon start, and something be removed to make room", { timeout }, async () => {
    assert.equal((await full.onggi(["create", "--name", "ballast", "host", "true"])).code, 0);
    const odd = oddArchive(ownFolder(), { reference: "odd:1", files: { program: randomBytes(2 ** 20) } });
    const loaded = await full.onggi(["load", "-i", odd]);
    assert.equal(loaded.code, 0, loaded.stderr);
    fill(0);
    try {
      await full.kill9();
      const { root, runRoot, bridge } = full;
      full = await startDaemon({ root, runRoot, bridge });
      let told = await full.onggi(["create", "host", "true"]);
      // The last block of a file may have room for some.
      for (let more = 0; told.code === 0 && more < 10; more++) told = await full.onggi(["create", "host", "true"]);
      assert.equal(told.code, 1);
      assert.match(told.stderr, /no space left on device: .*can't be written\nFree some space/);
      const all = (await full.onggi(["ps", "-aq"])).stdout.trim().split("\n");
      const removed = await full.onggi(["rm", ...all]);
      assert.equal(removed.code, 0, removed.stderr);
      assert.equal((await full.onggi(["ps", "-aq"])).stdout, "");
      const untagged = await full.onggi(["rmi", "odd:1"]);
      assert.equal(untagged.code, 0, untagged.stderr);
      assert.doesNotMatch((await full.onggi(["images"])).stdout, /odd/);
    } finally {
      free();
    }
  });

  it("doesn't stop a container that prints, and its log goes on when there is room again", { timeout }, async () => {
    const counting = "seq 1 200000; while ! [ -e /go ]; do read -t 0.05 -u 3; done 3<> <(:); echo last; sleep 1000";
    const { code, stderr } = await full.onggi([
      "run",
      "-d",
      "--name",
      "printer",
      "host",
      "bash",
      "-c",
      `sleep 0.4; ${counting}`,
    ]);
    assert.equal(code, 0, stderr);
    const { Pid } = (await inspect(api, "printer")).State;
    fill(100);
    const printed = () => readFileSync(`/proc/${Pid}/task/${Pid}/children`, "utf8").trim() === "";
    await sleep(600);
    await until("it has printed all", printed);
    const kept = (await linesOf(api, "printer")).length;
    assert.ok(kept < 200_000, `${kept} lines were kept on a full disk`);
    free();
    writeFileSync(`/proc/${Pid}/root/go`, "");
    // What was lost may have begun in the middle of a line.
    const endsWell = async () => (await linesOf(api, "printer")).at(-1)?.endsWith("last") === true;
    await until("it prints on, and that is kept", endsWell);
    assert.match(
      (await full.onggi(["events", "--since", "1m", "--until", "0s"])).stdout,
      /log-error .*its output can't be written to the log: the disk is full \(ENOSPC\)/,
    );
    await full.onggi(["rm", "-f", "printer"]);
  });
});

describe("what a user gets wrong", () => {
  it("a flag, a command, a value", { timeout }, async () => {
    await fails(["run", "--nope", "host"], 125, /unknown flag: --nope/, /onggi run --help/);
    await fails(["run", "--rm", "-p", "99999:80", "host", "true"], 125, /99999|invalid/i);
    await fails(["run", "--rm", "--memory", "1", "host", "true"], 125, /Minimum memory limit allowed is 6MB/);
    await fails(["run"], 1, /requires at least 1 argument/);
    await fails(["nope"], 1, /unknown command/, /--help/);
  });

  it("an image that there isn't", { timeout }, async () => {
    await fails(["run", "--rm", "--pull", "never", "nosuch"], 125, /nosuch/);
    await fails(["tag", "nosuch", "x"], 1, /No such image: nosuch:latest/);
    await fails(["run", "--rm", "Host", "true"], 125, /must be lowercase/);
  });

  it("a name that is taken", { timeout }, async () => {
    await daemon.onggi(["run", "-d", "--name", "taken", "host", "sleep", "1000"]);
    await fails(
      ["run", "-d", "--name", "taken", "host", "true"],
      125,
      /name "\/taken" is already in use/,
      /remove \(or rename\)/,
    );
    await fails(["rm", "taken"], 1, /container is running: stop the container/);
    await fails(["rmi", "host"], 1, /container \w+ is using its referenced image/);
    await daemon.onggi(["rm", "-f", "taken"]);
  });

  it("a program: 127 where it isn't, 126 where it can't be run, else its own status", { timeout }, async () => {
    await fails(["run", "--rm", "host", "nosuchprogram"], 127, /"nosuchprogram": .*ENOENT/, /isn't in the image/);
    await fails(["run", "--rm", "host", "/etc"], 126, /"\/etc": permission denied \(EACCES\)/, /isn't executable/);
    await fails(["run", "--rm", "host", "/etc/passwd"], 126, /EACCES/);
    await fails(["run", "--rm", "host", "sh", "-c", "exit 77"], 77);
    await daemon.onggi(["run", "-d", "--name", "living", "host", "sleep", "1000"]);
    // As in docker, what was to be the program's output tells it.
    assert.match((await fails(["exec", "living", "nosuchprogram"], 127)).stdout, /"nosuchprogram": .*ENOENT/);
    assert.match((await fails(["exec", "living", "/etc"], 126)).stdout, /"\/etc": permission denied/);
    await fails(["exec", "nosuch", "true"], 1, /No such container: nosuch/);
    await daemon.onggi(["rm", "-f", "living"]);
  });

  it("a port that is taken, by a process or a container", { timeout }, async () => {
    const server = createServer().listen(0, "0.0.0.0");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const publish = ["-p", `${port}:80`, "host", "sleep", "1000"];
    await fails(["run", "--rm", ...publish], 125, /port is already allocated/, new RegExp(`process ${process.pid}`));
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await daemon.onggi(["run", "-d", "--name", "holder", ...publish])).code, 0);
    await fails(["run", "--rm", ...publish], 125, /port is already allocated/, /Container \w+ publishes it/);
    await daemon.onggi(["rm", "-f", "holder"]);
    assert.equal((await daemon.onggi(["run", "--rm", "-p", `${port}:80`, "host", "true"])).code, 0);
  });

  it("an image for another architecture", { timeout }, async () => {
    const architecture = process.arch === "arm64" ? "amd64" : "arm64";
    const image: OddImage = { reference: "foreign:1", architecture, files: { program: foreignElf() } };
    const { code, stderr } = await daemon.onggi(["load", "-i", oddArchive(ownFolder(), image)]);
    assert.equal(code, 0, stderr);
    await fails(
      ["run", "--rm", "foreign:1"],
      126,
      new RegExp(`platform \\(linux/${architecture}\\) does not match the detected host platform`),
      /ENOEXEC/,
      /another architecture/,
    );
    await daemon.onggi(["rmi", "foreign:1"]);
  });

  it("an archive that is none, cut short, or not what its digests say", { timeout }, async () => {
    const folder = ownFolder();
    const image: OddImage = { reference: "odd:1", files: { program: randomBytes(300_000) } };
    const whole = oddArchive(folder, image);
    const cut = join(folder, "cut.tar");
    copyFileSync(whole, cut);
    truncateSync(cut, 150_000);
    const garbage = join(folder, "garbage.gz");
    writeFileSync(garbage, Buffer.concat([Buffer.from("1f8b0800000000000003", "hex"), randomBytes(1000)]));
    const text = join(folder, "text");
    writeFileSync(text, "this is no archive\n".repeat(100));
    const empty = join(folder, "empty");
    writeFileSync(empty, "");
    for (const path of [cut, garbage, text, empty]) await fails(["load", "-i", path], 1, /archive/, /again/);

    const wrong = oddArchive(ownFolder(), image, (blobs) => ({
      ...blobs,
      layer: { ...blobs.layer, bytes: Buffer.from(blobs.layer.bytes).fill(1, 5000, 5100) },
    }));
    await fails(["load", "-i", wrong], 1, /digest|sha256/);
    await fails(["load", "-i", join(folder, "nosuch")], 1, /nosuch: no such file/);
    assert.doesNotMatch((await daemon.onggi(["images"])).stdout, /odd/);
  });
});

describe("a registry", () => {
  let registry: FakeRegistry;
  const image: OddImage = { reference: "", files: { program: randomBytes(100_000) } };

  before(async () => {
    registry = new FakeRegistry();
    await registry.open();
    const { layer, config, manifest } = oddBlobs(ownFolder(), image);
    registry.blobs.set(layer.digest, Buffer.from(layer.bytes).fill(7, 2000, 2100));
    registry.addBlob(config.bytes);
    registry.addManifest("lies", "latest", JSON.parse(manifest.bytes.toString()) as object, manifestType);
  });
  after(() => registry.close());

  it("that is down", { timeout }, async () => {
    await fails(["pull", "127.0.0.1:1/x"], 1, /127\.0\.0\.1:1.*connection refused/, /is the registry .* running/);
    await fails(["run", "--rm", "127.0.0.1:1/x"], 125, /connection refused/);
  });

  it("that sends something else than it promised", { timeout }, async () => {
    await fails(["pull", `${registry.host}/lies`], 1, /sha256:|digest/);
    await fails(["run", "--rm", `${registry.host}/lies`], 125, /sha256:|digest/);
    const other = `sha256:${"0".repeat(64)}`;
    registry.manifests.set(`lies@${other}`, registry.manifests.get("lies:latest") ?? assert.fail());
    await fails(["pull", `${registry.host}/lies@${other}`], 1, /sha256:|digest/);
  });

  it("that doesn't have it, or fails", { timeout }, async () => {
    await fails(["pull", `${registry.host}/lies:nosuch`], 1, /manifest.*(unknown|not found)|not found/i);
    registry.intercept = (_request, response) => {
      response.writeHead(503).end("out of order");
      return true;
    };
    await fails(["pull", `${registry.host}/lies`], 1, /503/);
  });
});

/** One whose roots were given: its traces on the host are taken off, too. */
async function stopOther(other: TestDaemon): Promise<void> {
  const { root, runRoot, bridge } = other;
  await other.stop();
  await clearHost({ roots: [root, runRoot], bridge, cgroupParent: placesFor({ root }).cgroupParent });
}
