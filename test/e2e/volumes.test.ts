/** Volumes, through `onggi` and through Docker's own client: what they hold, who has them, and that no crash or link takes them elsewhere. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readMountTable } from "../../src/storage/mount-table.ts";
import { until } from "./container-calls.ts";
import { type CommandResult, runCommand, startDaemon, type TestDaemon } from "./harness.ts";
import { seededArchive } from "./volume-image.ts";

const hasDocker = await runCommand("docker", ["--version"]).then(
  ({ code }) => code === 0,
  () => false,
);

let daemon: TestDaemon;
let scratch: string;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-volumes-"));
  daemon = await startDaemon();
  await onggi("image from-host");
  await onggi(`save -o ${scratch}/host.tar host`);
  await onggi(`load -q -i ${seededArchive(scratch, join(scratch, "host.tar"))}`);
});

after(async () => {
  const { stdout } = await daemon.onggi(["ps", "-aq"]);
  const ids = stdout.split("\n").filter((id) => id !== "");
  if (ids.length > 0) await daemon.onggi(["rm", "-fv", ...ids]);
  await daemon.onggi(["volume", "prune", "-af"]);
  const left = readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(daemon.root));
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
  assert.deepEqual(left, [], "mounts of volumes that are gone");
});

/** Words apart by blanks; a last one with blanks is given by itself. */
function words(text: string, last?: string): string[] {
  return [...text.split(" "), ...(last === undefined ? [] : [last])];
}

async function onggi(text: string, script?: string): Promise<string> {
  const { code, stdout, stderr } = await daemon.onggi(words(text, script));
  assert.equal(code, 0, `onggi ${text}: ${stderr}`);
  return stdout;
}

async function fails(text: string, script?: string): Promise<CommandResult> {
  const result = await daemon.onggi(words(text, script));
  assert.notEqual(result.code, 0, `onggi ${text}: ${result.stdout}`);
  return result;
}

async function docker(text: string, script?: string): Promise<string> {
  const env = { DOCKER_HOST: daemon.host, DOCKER_CONFIG: scratch, DOCKER_CLI_HINTS: "false" };
  const { code, stdout, stderr } = await runCommand("docker", words(text, script), { env });
  assert.equal(code, 0, `docker ${text}: ${stderr}`);
  return stdout;
}

const dataOf = (name: string) => join(daemon.root, "volumes", name, "data");

async function volumeNames(): Promise<string[]> {
  return (await onggi("volume ls -q")).split("\n").filter((name) => name !== "");
}

interface Mounted {
  readonly Type: string;
  readonly Name: string;
  readonly Source: string;
  readonly Destination: string;
  readonly RW: boolean;
}

async function mountsOf(container: string): Promise<readonly Mounted[]> {
  const { stdout } = await daemon.onggi(["inspect", "-f", "{{json .Mounts}}", container]);
  return JSON.parse(stdout) as readonly Mounted[];
}

describe("an empty volume", () => {
  it("gets what the image has there, with owners, modes, times, links and attributes, and the folder's own", async () => {
    await onggi("run --rm -v filled:/seed seeded", "true");

    const seed = dataOf("filled");
    const [folder, file] = [statSync(seed), statSync(join(seed, "file"))];
    assert.deepEqual([folder.uid, folder.gid, folder.mode & 0o7777], [1000, 1001, 0o2750]);
    assert.deepEqual([file.uid, file.gid, file.mode & 0o7777, file.nlink], [4711, 4712, 0o640, 2]);
    assert.equal(file.mtimeMs, 1_000_000_000_000);
    assert.equal(statSync(join(seed, "second")).ino, file.ino);
    assert.equal(readFileSync(join(seed, "link"), "utf8"), "deep\n");
    const { stdout } = await runCommand("getfattr", ["--only-values", "-n", "user.colour", join(seed, "file")]);
    assert.equal(stdout, "red");
  });

  it("gets it once: what is in the volume wins", async () => {
    await onggi("run --rm -v once:/seed seeded sh -c", "rm -r /seed/sub; echo mine > /seed/file");
    assert.equal(
      await onggi("run --rm -v once:/seed seeded sh -c", "cat /seed/file; ls /seed"),
      "mine\nfile\nlink\nsecond\n",
    );
  });

  it("stays empty with nocopy, and where the image has nothing", async () => {
    assert.equal(await onggi("run --rm -v none:/seed:nocopy seeded ls /seed"), "");
    assert.equal(await onggi("run --rm --mount src=none2,dst=/seed,volume-nocopy seeded ls /seed"), "");
    assert.equal(await onggi("run --rm -v none3:/nothing seeded ls /nothing"), "");
  });

  it("is filled by links that stay in the image, never through one that leads out", async () => {
    writeFileSync(join(scratch, "of-the-host"), "");
    assert.match(await onggi("run --rm -v climbing:/out seeded ls /out"), /file/);
    const { stdout } = await daemon.onggi(words("run --rm -v escaping:/escape/tree seeded true"));
    assert.equal(stdout, "");
    assert.deepEqual(existsSync(dataOf("escaping")) ? readdirSync(dataOf("escaping")) : [], []);
  });

  it("is filled when the container is created, not over what another put in before", async () => {
    await onggi("create --name early -v early:/seed seeded true");
    assert.ok(existsSync(join(dataOf("early"), "sub/deep")));
    await onggi("rm early");
  });

  it("of a certain size is filled in place", async () => {
    await onggi("volume create sized --opt size=20m");
    assert.match(await onggi("run --rm -v sized:/seed seeded ls /seed"), /file\nlink/);
    const full = await fails("run --rm -v sized:/seed seeded dd if=/dev/zero of=/seed/big bs=1M count=40");
    assert.match(full.stderr, /No space left on device/);
  });

  it("that is too small for what the image has stays empty, and the container isn't made", async () => {
    await onggi("volume create tiny --opt size=16m");
    const { stderr } = await fails("create --name unmade -v tiny:/usr host true");
    assert.match(stderr, /copying the image's \/usr into the volume .* failed: .*No space left on device/);
    assert.equal(await onggi("run --rm -v tiny:/d:nocopy host ls /d"), "");
    assert.doesNotMatch(await onggi("ps -a"), /unmade/);
  });

  it("is filled once when several containers are made with it at a time", async () => {
    const names = ["a", "b", "c", "d", "e"];
    await Promise.all(names.map((name) => onggi(`create --name crowd-${name} -v crowd:/seed seeded true`)));
    assert.deepEqual(readdirSync(dataOf("crowd")).sort(), ["file", "link", "second", "sub"]);
    assert.deepEqual(readdirSync(join(daemon.root, "volumes/crowd")).sort(), ["data", "volume.json"]);
    await onggi(`rm ${names.map((name) => `crowd-${name}`).join(" ")}`);
  });
});

describe("a mount of a volume", () => {
  it("is read-only where asked, by -v, --mount and --volumes-from", async () => {
    await onggi("run --rm -v ro:/d host", "true");
    for (const how of ["-v ro:/d:ro", "--mount type=volume,src=ro,dst=/d,readonly"]) {
      const { stderr } = await fails(`run --rm ${how} host touch /d/x`);
      assert.match(stderr, /Read-only file system/);
    }
    await onggi("create --name lender -v ro:/d -v /anon host true");
    assert.match((await fails("run --rm --volumes-from lender:ro host touch /d/x")).stderr, /Read-only file system/);
    assert.equal(
      await onggi("run --rm --volumes-from lender host sh -c", "touch /d/x /anon/y; ls /d /anon"),
      "/anon:\ny\n\n/d:\nx\n",
    );
    // The borrower went with --rm; what it borrowed is the lender's still.
    assert.equal(await onggi("run --rm --volumes-from lender host ls /anon"), "y\n");
    await onggi("rm -v lender");
  });

  it("shows a folder of it, found anew inside the volume at each start", async () => {
    await onggi("run --rm -v folders:/d host sh -c", "mkdir -p /d/a/b; echo in > /d/a/b/file; ln -s a/b /d/inner");
    const mount = (folder: string) => `--mount src=folders,dst=/s,volume-subpath=${folder}`;
    assert.equal(await onggi(`run --rm ${mount("a/b")} host cat /s/file`), "in\n");
    assert.equal(await onggi(`run --rm ${mount("inner")} host cat /s/file`), "in\n");
    assert.match(
      (await fails(`run --rm ${mount("nope")} host true`)).stderr,
      /cannot access path nope in volume folders: no such file/,
    );
    assert.match(
      (await fails(`run --rm ${mount("../up")} host true`)).stderr,
      /subpath must be a relative path within the volume/,
    );
  });

  it("never shows what a link in the volume leads to outside of it", async () => {
    mkdirSync(join(scratch, "secret"));
    writeFileSync(join(scratch, "secret/key"), "the host's");
    const climb = `${"../".repeat(20)}${join(scratch, "secret").slice(1)}`;
    await onggi(
      "run --rm -v hostile:/d host sh -c",
      `ln -s ${scratch}/secret /d/absolute; ln -s ${climb} /d/climbing; ln -s /proc/1/root /d/magic`,
    );
    for (const folder of ["absolute", "climbing", "magic", "absolute/.."]) {
      const result = await daemon.onggi(
        words(`run --rm --mount src=hostile,dst=/s,volume-subpath=${folder} host ls /s`),
      );
      assert.doesNotMatch(result.stdout, /key|secret/, folder);
      assert.ok(result.code !== 0 || !/^(etc|usr)$/m.test(result.stdout), `${folder}: ${result.stdout}`);
    }
  });

  it("holds while a container swaps the folder for a link", async () => {
    await onggi("run --rm -v race:/d host mkdir /d/folder");
    const swap = `while :; do mv /d/folder /d/x; ln -s ${scratch}/secret /d/folder; rm /d/folder; mv /d/x /d/folder; done`;
    await onggi("run -d --name swapper -v race:/d host sh -c", swap);
    for (let i = 0; i < 15; i++) {
      const { stdout } = await daemon.onggi(words("run --rm --mount src=race,dst=/s,volume-subpath=folder host ls /s"));
      assert.doesNotMatch(stdout, /key/);
    }
    await onggi("rm -f swapper");
  });

  it("is told by inspect, ps and events", async () => {
    await onggi("run -d --name shown -v told:/d:ro --mount src=told,dst=/e,volume-nocopy host sleep 60");
    const mounts = (await mountsOf("shown")).toSorted((a, b) => (a.Destination < b.Destination ? -1 : 1));
    assert.deepEqual(
      mounts.map(({ Type, Name, Source, Destination, RW }) => [Type, Name, Source, Destination, RW]),
      [
        ["volume", "told", dataOf("told"), "/d", false],
        ["volume", "told", dataOf("told"), "/e", true],
      ],
    );
    assert.match(await onggi("ps --filter volume=told"), /shown/);
    assert.doesNotMatch(await onggi("ps --filter volume=other"), /shown/);
    await onggi("rm -f shown");
    await onggi("volume rm told");
    const events = await onggi("events --since 1m --until 0s --filter volume=told --format {{.Action}}");
    assert.deepEqual(events.trim().split("\n"), ["create", "mount", "mount", "unmount", "unmount", "destroy"]);
  });

  it("is explained", async () => {
    const script = await onggi("explain run -v folders:/d --mount src=folders,dst=/s,volume-subpath=a/b host true");
    assert.match(script, new RegExp(`mount --rbind ${dataOf("folders")} "\\$\\(at /d\\)"`));
    assert.match(script, new RegExp(`mount --rbind ${dataOf("folders")}/a/b "\\$\\(at /s\\)"`));
  });
});

describe("an anonymous volume", () => {
  it("is made for an image's VOLUME and goes with --rm", async () => {
    const before = await volumeNames();
    assert.match(await onggi("run --rm seeded sh -c", "grep -c ' /seed ' /proc/mounts; ls /seed"), /^1\nfile/);
    assert.deepEqual(await volumeNames(), before);
  });

  it("stays after rm, goes with rm -v, unless it has a name", async () => {
    await onggi("create --name kept -v /a -v kept:/b host true");
    const anonymous = (await mountsOf("kept")).find(({ Destination }) => Destination === "/a")?.Name ?? "";
    assert.match(anonymous, /^[0-9a-f]{64}$/);
    await onggi("rm kept");
    assert.ok((await volumeNames()).includes(anonymous));

    await onggi(`create --name kept -v ${anonymous}:/a -v /c -v kept:/b host true`);
    const other = (await mountsOf("kept")).find(({ Destination }) => Destination === "/c")?.Name ?? "";
    await onggi("rm -v kept");
    const names = await volumeNames();
    assert.deepEqual(
      [anonymous, other, "kept"].map((name) => names.includes(name)),
      [true, false, true],
    );
  });

  it("is pruned, named ones only with --all, and neither while a container has it", async () => {
    await onggi("volume create named-unused");
    await onggi("create --name user -v /a -v used:/b host true");
    const anonymous = (await mountsOf("user")).find(({ Destination }) => Destination === "/a")?.Name ?? "";
    await onggi("volume prune -f");
    assert.ok((await volumeNames()).includes(anonymous));
    await onggi("rm user");
    const pruned = await onggi("volume prune -f");
    assert.match(pruned, new RegExp(`Deleted Volumes:\\n[^]*${anonymous}`));
    assert.ok((await volumeNames()).includes("named-unused"));
    await onggi("create --name user -v used:/b host true");
    await onggi("volume prune -af");
    assert.deepEqual(await volumeNames(), ["used"]);
    await onggi("rm user");
  });
});

describe("a volume's options", () => {
  it("mount a tmpfs for as long as a container runs with it, shared by all that do", async () => {
    await onggi("volume create memory --opt type=tmpfs --opt device=tmpfs --opt o=size=1m,uid=1000");
    await onggi("run -d --name holder -v memory:/m host sh -c", "stat -c %u /m > /m/owner; sleep 60");
    await until(
      "it is written",
      async () => (await daemon.onggi(words("exec holder cat /m/owner"))).stdout === "1000\n",
    );
    assert.equal(await onggi("run --rm -v memory:/m:ro host cat /m/owner"), "1000\n");
    await onggi("rm -f holder");
    await until("it is unmounted", () => !readMountTable().some(({ mountPoint }) => mountPoint === dataOf("memory")));
    assert.equal(await onggi("run --rm -v memory:/m host ls /m"), "");
  });

  it("bind a folder of the host, and say what is wrong with one that isn't there", async () => {
    mkdirSync(join(scratch, "bound"));
    await onggi(`volume create bound --opt type=none --opt o=bind --opt device=${scratch}/bound`);
    await onggi("run --rm -v bound:/b host touch /b/x");
    assert.ok(existsSync(join(scratch, "bound/x")));
    await onggi("volume create lost --opt type=none --opt o=bind --opt device=/no/such/folder");
    assert.match(
      (await fails("run --rm -v lost:/b host true")).stderr,
      /failed to mount local volume lost: .*no.*such|does not exist/i,
    );
    await onggi("volume rm bound lost");
    assert.ok(existsSync(join(scratch, "bound/x")));
  });
});

describe("removing a volume", () => {
  it("is refused while a container has it, in Docker's words", async () => {
    const id = (await onggi("create --name owner -v owned:/d host true")).trim();
    for (const force of ["", "-f "]) {
      const { stderr } = await fails(`volume rm ${force}owned`);
      assert.match(stderr, new RegExp(`remove owned: volume is in use - \\[${id}\\]`));
    }
    await onggi("rm owner");
    await onggi("volume rm owned");
    assert.match((await fails("volume rm owned")).stderr, /get owned: no such volume/);
    await onggi("volume rm -f owned");
  });

  it("is refused nothing else: a name that was free again is a new volume", async () => {
    await onggi("run --rm -v again:/d host touch /d/old");
    await onggi("volume rm again");
    assert.equal(await onggi("run --rm -v again:/d host ls /d"), "");
  });
});

describe("a snapshot", () => {
  it("holds one moment of what a running container writes", async () => {
    // Two files that never differ by more than one, however the writer is interrupted.
    const writer = "i=0; while :; do i=$((i+1)); echo $i > /d/a; echo $i > /d/b; done";
    await onggi("run -d --name writer -v busy:/d host sh -c", writer);
    await until("it writes", () => existsSync(join(dataOf("busy"), "b")));
    for (const name of ["one", "two", "three"]) await onggi(`volume snapshot busy ${name}`);
    for (const name of ["one", "two", "three"]) {
      const number = (file: string) =>
        Number(readFileSync(join(daemon.root, "volumes/busy/snapshots", name, "data", file), "utf8"));
      // Cut off between open and write, a file is empty.
      if (number("a") > 0 && number("b") > 0) assert.ok([0, 1].includes(number("a") - number("b")), name);
    }
    assert.match(await onggi("inspect -f {{.State.Status}} writer"), /running/);
    assert.match((await fails("volume snapshot rollback busy one")).stderr, /in use by running containers/);
    await onggi("rm -f writer");
  });

  it("is put back, listed, cloned and removed", async () => {
    await onggi("run --rm -v state:/d host sh -c", "echo before > /d/file");
    assert.equal(await onggi("volume snapshot state"), "1\n");
    await onggi("run --rm -v state:/d host sh -c", "echo after > /d/file; touch /d/more");
    assert.equal(await onggi("volume clone state now"), "now\n");
    await onggi("volume clone state then --from 1");
    await onggi("volume snapshot rollback state 1");
    const content = async (name: string) => onggi(`run --rm -v ${name}:/d host sh -c`, "cat /d/file; ls /d");
    assert.equal(await content("state"), "before\nfile\n");
    assert.equal(await content("now"), "after\nfile\nmore\n");
    assert.equal(await content("then"), "before\nfile\n");
    assert.match(await onggi("volume snapshot ls state"), /^SNAPSHOT +CREATED\n1 +/);
    await onggi("volume snapshot rm state 1");
    assert.match((await fails("volume snapshot rollback state 1")).stderr, /volume state has no snapshot 1/);
    assert.match((await fails("volume clone state now")).stderr, /create now: volume exists already/);
  });

  it("of a volume of a certain size is put back in place", async () => {
    await onggi("volume create small --opt size=20m");
    await onggi("run --rm -v small:/d host sh -c", "echo before > /d/file");
    await onggi("volume snapshot small first");
    await onggi("run --rm -v small:/d host sh -c", "rm /d/file; echo x > /d/other");
    await onggi("volume snapshot rollback small first");
    assert.equal(await onggi("run --rm -v small:/d host sh -c", "cat /d/file; ls /d"), "before\nfile\n");
    await onggi("volume clone small small2");
    const look = "cat /d/file; df --output=size /d | tail -1";
    assert.equal(
      await onggi("run --rm -v small2:/d host sh -c", look),
      await onggi("run --rm -v small:/d host sh -c", look),
    );
  });
});

describe("docker's client", { skip: hasDocker ? false : "there is no docker" }, () => {
  it("makes, lists, inspects, uses and removes volumes", async () => {
    assert.equal(await docker("volume create --label team=a --opt size=20m dockers"), "dockers\n");
    assert.equal(await docker("volume create dockers"), "dockers\n");
    assert.match(await docker("volume ls"), /^DRIVER +VOLUME NAME\n(.*\n)*local +dockers\n/);
    assert.equal(await docker("volume ls -q --filter label=team=a"), "dockers\n");
    assert.equal(await docker("volume ls -q --filter name=^dock --filter dangling=true"), "dockers\n");
    assert.equal(await docker("volume ls -q --filter name=^dock --filter dangling=false"), "");
    const [volume] = JSON.parse(await docker("volume inspect dockers")) as Record<string, unknown>[];
    assert.deepEqual([volume?.Labels, volume?.Options, volume?.Scope], [{ team: "a" }, { size: "20m" }, "local"]);
    assert.equal(
      await docker(
        "run --rm --mount type=volume,src=dockers,dst=/d,volume-nocopy host sh -c",
        "echo hi > /d/f; cat /d/f",
      ),
      "hi\n",
    );
    assert.equal(await docker("run --rm -v dockers:/d:ro host cat /d/f"), "hi\n");
    assert.match(await docker("system df -v"), /dockers +0 +\d/);
    assert.equal(await docker("volume rm dockers"), "dockers\n");
  });

  it("prints what onggi prints", async () => {
    await docker("volume create --label a=2 alike");
    for (const format of [
      "json",
      "table {{.Name}}\\t{{.Driver}}\\t{{.Labels}}",
      "{{.Name}} {{.Scope}} {{.Mountpoint}}",
    ]) {
      const args = ["volume", "ls", "--filter", "name=alike", "--format", format];
      const env = { DOCKER_HOST: daemon.host, DOCKER_CONFIG: scratch };
      const [theirs, ours] = [await runCommand("docker", args, { env }), await daemon.onggi(args)];
      assert.deepEqual([ours.code, ours.stdout], [theirs.code, theirs.stdout], format);
    }
    assert.deepEqual(JSON.parse(await onggi("volume inspect alike")), JSON.parse(await docker("volume inspect alike")));
    await docker("volume rm alike");
  });

  it("removes anonymous ones with rm -v and prunes", async () => {
    await docker("create --name dockered -v /a host true");
    const name = (await mountsOf("dockered"))[0]?.Name ?? "";
    assert.match(await docker(`volume inspect -f {{.Labels}} ${name}`), /com\.docker\.volume\.anonymous/);
    await docker("rm -v dockered");
    assert.ok(!(await volumeNames()).includes(name));
    const anonymous = (await docker("volume create")).trim();
    assert.match(await docker("volume prune -f"), new RegExp(anonymous));
  });
});

describe("a daemon that is killed", () => {
  it("leaves volumes, what is mounted, and whom they belong to", { timeout: 60_000 }, async () => {
    const own = mkdtempSync(join(tmpdir(), "onggi-volumes-kill-"));
    const places = { root: join(own, "data"), runRoot: join(own, "run"), bridge: `ogv${process.pid}` };
    let victim = await startDaemon(places);
    const run = async (text: string, script?: string) => {
      const { code, stdout, stderr } = await victim.onggi(words(text, script));
      assert.equal(code, 0, `onggi ${text}: ${stderr}`);
      return stdout;
    };
    try {
      await run("image from-host");
      await run("volume create memory --opt type=tmpfs --opt device=tmpfs");
      await run("volume create sized --opt size=20m");
      await run(
        "run -d --name survivor -v plain:/p -v memory:/m -v sized:/s -v /anon host sh -c",
        "for d in p m s anon; do echo $d > /$d/file; done; sleep 300",
      );
      await until(
        "it has written",
        async () => (await victim.onggi(words("exec survivor cat /anon/file"))).stdout === "anon\n",
      );
      const volatile = (await run("run -d --rm --name volatile -v /v host sleep 300")).trim();
      const before = await run("volume ls -q");
      await victim.kill9();
      // As the copying of a volume leaves it that was cut off.
      mkdirSync(join(places.root, "volumes/plain/copy-0123456789ab"));
      mkdirSync(join(places.root, "volumes/.new-0123456789ab-half/data"), { recursive: true });
      process.kill(pidOf(volatile), "SIGKILL");

      victim = await startDaemon(places);
      await until("the --rm container is gone", async () => !(await run("ps -aq --no-trunc")).includes(volatile));
      const names = (await run("volume ls -q")).split("\n");
      assert.equal(names.length, before.split("\n").length - 1, "only the volume of the --rm container went");
      assert.equal(
        await run("run --rm -v plain:/p -v memory:/m -v sized:/s host cat /p/file /m/file /s/file"),
        "p\nm\ns\n",
      );
      assert.match((await victim.onggi(words("volume rm memory"))).stderr, /volume is in use/);
      assert.deepEqual(readdirSync(join(places.root, "volumes/plain")).sort(), ["data", "volume.json"]);
      assert.deepEqual(
        readdirSync(join(places.root, "volumes")).filter((name) => name.startsWith(".new")),
        [],
      );
      await run("rm -fv survivor");
      await run("volume prune -af");
      assert.deepEqual(
        readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(places.root)),
        [],
      );
    } finally {
      const { stdout } = await victim.onggi(["ps", "-aq"]);
      for (const id of stdout.split("\n").filter((line) => line !== "")) await victim.onggi(["rm", "-fv", id]);
      await victim.onggi(["volume", "prune", "-af"]);
      await victim.stop();
      rmSync(own, { recursive: true, force: true });
      rmSync(`${places.root}.log`, { force: true });
    }
  });

  it("in the middle of filling volumes fills them whole or not at all", { timeout: 120_000 }, async () => {
    const own = mkdtempSync(join(tmpdir(), "onggi-volumes-fill-"));
    const places = { root: join(own, "data"), runRoot: join(own, "run"), bridge: `ogw${process.pid}` };
    let victim = await startDaemon(places);
    try {
      assert.equal((await victim.onggi(["image", "from-host"])).code, 0);
      await victim.onggi(words("run --rm -v whole:/usr host true"));
      const whole = countOf(join(places.root, "volumes/whole/data"));
      assert.ok(whole > 50, `${whole} entries`);
      let cuts = 0;
      for (const entries of [0, 1, 2, 4]) {
        const name = `cut${entries}`;
        const creating = victim.onggi(words(`create -v ${name}:/usr host true`)).catch(() => undefined);
        await untilCopying(join(places.root, "volumes", name), entries);
        await victim.kill9();
        await creating;
        if (copyIn(join(places.root, "volumes", name)) !== undefined) cuts++;
        victim = await startDaemon(places);
        const data = join(places.root, "volumes", name, "data");
        const count = existsSync(data) ? countOf(data) : 0;
        assert.ok([0, whole].includes(count), `${count} of ${whole} entries, cut off at ${entries}`);
        assert.equal((await victim.onggi(words(`run --rm -v ${name}:/usr host true`))).code, 0);
        assert.equal(countOf(data), whole);
        assert.equal(copyIn(join(places.root, "volumes", name)), undefined);
      }
      assert.ok(cuts > 0, "no kill came in the middle of a copy");
    } finally {
      await victim.stop();
      rmSync(own, { recursive: true, force: true });
      rmSync(`${places.root}.log`, { force: true });
    }
  });
});

/** A process of a container, by its cgroup. */
function pidOf(id: string): number {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id) && existsSync(`/proc/${pid}/exe`);
    } catch {
      return false;
    }
  });
  assert.ok(found !== undefined, `no process of ${id}`);
  return Number(found);
}

/** Resolves when a copy for a volume is under way and has so many entries, or is over. */
async function untilCopying(place: string, entries: number): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(1)) {
    const copy = copyIn(place);
    if (copy !== undefined && readdirSync(copy).length >= entries) return;
    if (copy === undefined && existsSync(join(place, "data")) && readdirSync(join(place, "data")).length > 0) return;
  }
}

function copyIn(place: string): string | undefined {
  const name = existsSync(place) ? readdirSync(place).find((one) => one.startsWith("copy-")) : undefined;
  return name === undefined ? undefined : join(place, name);
}

function countOf(directory: string): number {
  return readdirSync(directory, { recursive: true }).length;
}
