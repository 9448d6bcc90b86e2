/** cp, diff, export, commit and import, through Docker's own client and ours, and against containers that don't wish us well. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { leaks } from "../host-inventory.ts";
import { ApiClient } from "./api-client.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

const programs =
  "sh bash cat chmod chown cp dd find getfattr id ln ls mkdir mkfifo mv od perl rm sed seq setfattr sleep sort stat touch true truncate";
const mebibyte = 2 ** 20;

let daemon: TestDaemon;
let onggi: Client;
let scratch: string;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-files-"));
  daemon = await startDaemon();
  onggi = clientOf("onggi", daemon);
  await onggi.output(["image", "from-host", "-t", "tools", ...programs.split(" ")]);
});

after(async () => {
  await daemon?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

function sh(script: string, cwd = scratch): string {
  const { status, stdout, stderr } = spawnSync("bash", ["-ec", script], { cwd, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

async function inside(name: string, script: string): Promise<string> {
  return onggi.output(["exec", name, "bash", "-ec", script]);
}

async function withContainer(
  flags: readonly string[],
  use: (name: string) => Promise<void>,
  command: readonly string[] = ["sleep", "1000"],
): Promise<void> {
  const id = await onggi.output(["run", "-d", ...flags, "tools", ...command]);
  try {
    await use(id.slice(0, 12));
  } finally {
    await onggi.run(["rm", "-f", "-v", id]);
  }
}

/** Everything that an archive must keep. */
const oddTree = `mkdir -m 1777 odd; cd odd; printf 'some text' > file; ln file hard; ln -s ../../../../etc/passwd link; mkfifo fifo
  truncate -s 20M sparse; printf end | dd of=sparse bs=1 seek=15000000 conv=notrunc status=none
  mkdir -p deep/$(printf 'n%.0s' $(seq 200)); : > "deep/with
newline"; : > $'deep/no-\\xffutf8'; chown 1234:5678 file; chmod 4751 file
  setfattr -n user.binary -v 0x00ff0a01 file; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 hard
  touch -h -d @1.987654321 link; touch -d @1000000000.123456789 file; touch -d @2000000000 deep .`;

/** What a tree is, in lines that are equal for equal trees. */
const listing = `cd odd; find . -printf '%P %y %m %U %G %s %T@ %n %l\\n' | sed -E '/^[^ ]* d /s/ [0-9]+ ([0-9.]+ [0-9]+ )$/ - \\1/' | LC_ALL=C sort
  getfattr -R -h -d -m '^(user|security)' -e hex . 2>/dev/null; od -c -j 14999990 -N 30 sparse`;

for (const name of clientNames) {
  describe(`files through ${name}`, { skip: skipOf(name) }, () => {
    let client: Client;
    before(() => {
      client = clientOf(name, daemon);
    });

    it("go into a container and come back as they were", async () => {
      sh(`rm -rf odd back; ${oddTree}`);
      await withContainer(["--tmpfs", "/tmp", "-v", "/volume"], async (container) => {
        for (const folder of ["/", "/volume"]) {
          await client.output(["cp", "-q", "odd", `${container}:${folder}`], { cwd: scratch });
          const archive = join(scratch, "back.tar");
          sh("rm -rf back; mkdir back");
          writeFileSync(archive, await archiveOf(container, `${folder}/odd`));
          sh(`tar -C back --xattrs --xattrs-include='*' -xpf back.tar`);

          const [sent, back] = [sh(listing), sh(listing, join(scratch, "back"))];
          // Docker's client sends neither user's attributes nor holes.
          if (name === "onggi") {
            assert.equal(back, sent);
            assert.ok(Number(sh("stat -c %b back/odd/sparse")) < 100, "holes come back");
            assert.ok(Number(await inside(container, `stat -c %b ${folder}/odd/sparse`)) < 100, "holes arrive");
          } else assert.deepEqual(plain(back), plain(sent));
        }
      });
    });

    it("are copied by Docker's rules on names and folders", async () => {
      sh("rm -rf rules; mkdir -p rules/dir; echo file > rules/file; echo inside > rules/dir/x; ln -s file rules/link");
      const cwd = join(scratch, "rules");
      await withContainer([], async (container) => {
        const copy = async (...args: string[]) => (await client.run(["cp", ...args], { cwd })).code;
        const content = (path: string) => inside(container, `cat ${path}`);

        await inside(container, "mkdir /there; echo old > /old; ln -s /there /to-there");
        assert.equal(await copy("file", `${container}:/there`), 0);
        assert.equal(await content("/there/file"), "file");
        assert.equal(await copy("file", `${container}:/new`), 0);
        assert.equal(await content("/new"), "file");
        assert.equal(await copy("file", `${container}:old`), 0);
        assert.equal(await content("/old"), "file");
        assert.equal(await copy("file", `${container}:/missing/`), 1);
        assert.equal(await copy("file", `${container}:/no/where`), 1);
        assert.equal(await copy("dir", `${container}:/there`), 0);
        assert.equal(await content("/there/dir/x"), "inside");
        assert.equal(await copy("dir/.", `${container}:/to-there`), 0);
        assert.equal(await content("/there/x"), "inside");
        assert.equal(await copy("dir", `${container}:/made`), 0);
        assert.equal(await content("/made/x"), "inside");
        assert.equal(await copy("dir", `${container}:/old`), 1);
        assert.equal(await copy("file", `${container}:/there/dir/`), 0);
        assert.equal(await copy("link", `${container}:/a-link`), 0);
        assert.equal(await inside(container, "stat -c %N /a-link"), "'/a-link' -> 'file'");
        assert.equal(await copy("-L", "link", `${container}:/followed`), 0);
        assert.equal(await content("/followed"), "file");

        await inside(container, "mkdir /out; echo 1 > /out/f; ln -s out /l; rm -rf /there/dir; echo f > /there/dir");
        assert.equal(await copy(`${container}:/out`, "."), 0);
        assert.equal(await copy(`${container}:/out/.`, "contents"), 0);
        assert.equal(await copy(`${container}:/out/f`, "renamed"), 0);
        assert.equal(await copy(`${container}:/l`, "."), 0);
        assert.equal(await copy("-L", `${container}:/l`, "followed"), 0);
        assert.equal(await copy(`${container}:/there/dir`, "."), 1);
        assert.equal(await copy(`${container}:/nothing`, "."), 1);
        assert.equal(
          sh("cat out/f contents/f renamed followed/f; readlink l; cat dir/x", cwd),
          "1\n1\n1\n1\nout\ninside\n",
        );
        assert.equal(await copy(`${container}:/x`, `${container}:/y`), 1);
        assert.equal(await copy("file", "other"), 1);
      });
    });

    it("come and go as archives on stdin and stdout", async () => {
      await withContainer([], async (container) => {
        sh("mkdir -p piped; echo piped > piped/f; tar -cf piped.tar piped");
        const input = readFileSync(join(scratch, "piped.tar"));
        await client.output(["cp", "-", `${container}:/`], { input });
        assert.equal(await inside(container, "cat /piped/f"), "piped");
        await client.output(["cp", "-a", "-", `${container}:/`], { input });
        const missing = await client.run(["cp", "-", `${container}:/none`], { input });
        assert.match(missing.stderr, /must be a directory/);
        writeFileSync(
          join(scratch, "out.tar"),
          (await client.run(["cp", `${container}:/piped`, "-"])).stdout,
          "latin1",
        );
        assert.equal(sh("tar -tf out.tar"), "piped/\npiped/f\n");
      });
    });

    it("are told apart from the image's, kept in an image of their own, and given out whole", async () => {
      await withContainer(["--name", `told-${name}`], async (container) => {
        await inside(container, `rm /usr/bin/true; mv /etc/os-release /etc/moved; mkdir /new; cd /new; ${oddTree}`);
        const diff = (await client.output(["diff", container])).split("\n");
        for (const line of [
          "C /etc",
          "A /etc/moved",
          "D /etc/os-release",
          "D /usr/bin/true",
          "C /usr/bin",
          "A /new/odd/file",
        ])
          assert.ok(diff.includes(line), `${line} in ${diff.join(", ")}`);
        assert.ok(!diff.some((line) => /(proc|sys|dev|etc\/hosts|hostname|resolv.conf)$/.test(line)), diff.join(", "));

        const image = `kept-${name}:1`;
        const changes = ['CMD ["cat", "/new/odd/file"]', "ENV ADDED=1", "LABEL of=test", "USER 0:0", "WORKDIR /new"];
        const id = await client.output([
          "commit",
          "-m",
          "why",
          "-a",
          "who",
          ...changes.flatMap((one) => ["-c", one]),
          container,
          image,
        ]);
        assert.match(id, /^sha256:[0-9a-f]{64}$/);
        assert.equal(await onggi.output(["run", "--rm", image]), "some text");
        const again = await onggi.output([
          "run",
          "--rm",
          image,
          "bash",
          "-ec",
          `echo $ADDED $PWD; ls /usr/bin/true || true; ${listing}`,
        ]);
        assert.equal(again, `1 /new\n${await inside(container, `cd /new; ${listing}`)}`);
        const [{ Author, Comment, Config }] = JSON.parse(await client.output(["image", "inspect", image])) as [
          { Author: string; Comment?: string; Config: { Labels: object; Cmd: string[] } },
        ];
        assert.deepEqual([Author, Config.Labels], ["who", { of: "test" }]);
        if (name === "docker") assert.equal(Comment, "why");

        await client.output(["export", "-o", join(scratch, "tree.tar"), container]);
        assert.ok(sh("tar -tf tree.tar").includes("new/odd/hard"));
        const imported = `imported-${name}:1`;
        await client.output(["import", "-c", "CMD bash", "-m", "tree", join(scratch, "tree.tar"), imported]);
        const from = await onggi.output(["run", "--rm", imported, "bash", "-ec", `cd /new; ${listing}`]);
        assert.equal(from, await inside(container, `cd /new; ${listing}`));
        await onggi.output(["rmi", image, imported]);
      });
    });
  });
}

describe("files of containers", () => {
  it("are there when the container doesn't run, with its volumes and binds", async () => {
    const bound = join(scratch, "bound");
    mkdirSync(bound);
    await withContainer(["-v", "/volume", "-v", `${bound}:/bound`], async (container) => {
      await inside(container, "echo v > /volume/v; echo r > /r");
      await onggi.output(["stop", "-t", "0", container]);
      const before = daemon.inventory();

      writeFileSync(join(scratch, "one"), "one");
      for (const folder of ["/volume", "/bound", "/"])
        await onggi.output(["cp", join(scratch, "one"), `${container}:${folder}`]);
      await onggi.output(["cp", `${container}:/volume/v`, join(scratch, "v")]);
      assert.equal(readFileSync(join(scratch, "v"), "utf8"), "v\n");
      assert.equal(readFileSync(join(bound, "one"), "utf8"), "one");
      assert.ok((await onggi.output(["diff", container])).includes("A /one\n"));
      assert.deepEqual(leaks(before, daemon.inventory(), ["mounts", "cgroups", "links", "netns"]), []);

      await onggi.output(["start", container]);
      assert.equal(await inside(container, "cat /volume/one /one"), "oneone");
    });
  });

  it("are those of the container alone: nothing of what the kernel shows in it", async () => {
    await withContainer(["--privileged", "--tmpfs", "/tmp"], async (container) => {
      await inside(container, "echo > /tmp/seen");
      await onggi.output(["cp", `${container}:/`, join(scratch, "all")]);
      const found = sh("find all/proc all/sys all/dev all/tmp all/usr/bin/bash -mindepth 0 | sort");
      assert.deepEqual(
        found.split("\n").filter((line) => !/all\/(proc|sys|dev)$/.test(line)),
        ["all/tmp", "all/tmp/seen", "all/usr/bin/bash", ""],
      );
    });
  });

  it("can't be written where the container can't", async () => {
    writeFileSync(join(scratch, "one"), "one");
    const flags = ["--read-only", "-v", "/rw", "-v", `${scratch}:/ro:ro`, "--tmpfs", "/tmp"];
    await withContainer(flags, async (container) => {
      const copy = (path: string) => onggi.run(["cp", join(scratch, "one"), `${container}:${path}`]);
      for (const state of ["running", "stopped"]) {
        assert.match((await copy("/")).stderr, /container rootfs is marked read-only/, state);
        assert.match((await copy("/ro")).stderr, /mounted volume is marked read-only/, state);
        assert.equal((await copy("/rw")).code, 0, state);
        if (state === "running") assert.equal((await copy("/tmp")).code, 0);
        await onggi.output(["stop", "-t", "0", container]);
      }
    });
  });

  it("keep their types, and get the container's user as owner with -a", async () => {
    await withContainer(["-u", "1000:2000"], async (container) => {
      await onggi.output(["exec", "-u", "0", container, "bash", "-ec", "mkdir -p /d/sub /d/x; echo > /d/file"]);
      sh("rm -rf d; mkdir -p d/file; echo > d/sub");
      const { code, stderr } = await onggi.run(["cp", join(scratch, "d/sub"), `${container}:/d`]);
      assert.equal(code, 1);
      assert.match(stderr, /cannot overwrite directory "\/d\/sub" with non-directory/);
      assert.match(
        (await onggi.run(["cp", join(scratch, "d/file"), `${container}:/d`])).stderr,
        /cannot overwrite non-directory "\/d\/file" with directory/,
      );
      await onggi.output(["cp", "-a", join(scratch, "d/sub"), `${container}:/d/owned`]);
      assert.equal(await inside(container, "stat -c %u:%g /d/owned"), "1000:2000");
    });
  });

  it("never lead out of the container, whatever links are there", async () => {
    const outside = join(scratch, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "of the host");
    writeFileSync(join(scratch, "sent"), "sent");
    await withContainer(["--pid", "host"], async (container) => {
      const host = `/proc/${process.pid}/root`;
      await inside(
        container,
        `ln -s ${outside} /a; ln -s ../../../../../..${outside} /b; ln -s ${host}${outside} /c; mkdir -p /d${outside}`,
      );
      for (const way of ["/a", "/b", "/c", `${host}${outside}`, `/d/../../..${outside}`]) {
        await onggi.run(["cp", join(scratch, "sent"), `${container}:${way}/`]);
        const { code } = await onggi.run(["cp", `${container}:${way}/secret`, join(scratch, "stolen")]);
        assert.equal(code, 1, way);
      }
      assert.deepEqual(readdirSync(outside), ["secret"]);
      assert.ok(!existsSync(join(scratch, "stolen")));
      // What an archive says leads out no more than what is there.
      sh(
        "rm -rf evil; mkdir evil; ln -s / evil/l; tar -cf evil.tar evil; tar -rf evil.tar --transform 's|^|evil/l/|' sent; tar -rPf evil.tar --transform 's|^|../../|' sent",
      );
      const { stderr } = await onggi.run(["cp", "-", `${container}:/d`], {
        input: readFileSync(join(scratch, "evil.tar")),
      });
      assert.match(stderr, /leads out/);
      assert.ok(!existsSync("/sent"));
    });
  });

  it("are those of the container while it swaps a folder for a link, hundreds of times", async () => {
    const outside = join(scratch, "swapped");
    mkdirSync(outside);
    writeFileSync(join(outside, "f"), "of the host");
    const swap = `mkdir /d; echo inside > /d/f; symlink(q(${outside}), "/l")`.replace(/^.*;/, "");
    const script = `mkdir "/d"; open(F, ">/d/f"); print F "inside"; close F; ${swap}; $|=1; print "ready\\n";
      while (1) { rename "/d", "/e"; rename "/l", "/d"; rename "/d", "/l"; rename "/e", "/d" }`;
    const command = ["perl", "-e", script];
    await withContainer(
      ["--cpus", "0.8"],
      async (container) => {
        const api = new ApiClient(daemon.socket);
        while (!(await onggi.output(["logs", container])).includes("ready")) await sleep(20);
        const archive = execFileSync("tar", ["-C", scratch, "-c", "sent"]);
        const seen = new Map<number, number>();
        for (let round = 0; round < 300; round++) {
          const read = await api.call("GET", `/containers/${container}/archive?path=/d/f`);
          assert.ok(!read.body.includes("of the host"), `round ${round}`);
          const sent = await put(container, "/d", archive);
          for (const status of [read.status, sent]) seen.set(status, (seen.get(status) ?? 0) + 1);
        }
        assert.ok((seen.get(200) ?? 0) > 50, `mostly it worked: ${[...seen]}`);
        assert.deepEqual(readdirSync(outside), ["f"]);
      },
      command,
    );
  });

  it("stream through in little memory, 500 MB each way", async () => {
    await withContainer([], async (container) => {
      await inside(
        container,
        "dd if=/dev/urandom of=/piece bs=1M count=50 status=none; for i in $(seq 10); do cat /piece; done > /big",
      );
      writeFileSync(`/proc/${daemon.pid}/clear_refs`, "5");
      const atRest = peakBytes();

      const answer = await new ApiClient(daemon.socket).stream("GET", `/containers/${container}/archive?path=/big`);
      const { status, bytes } = await send(container, "/", answer);

      assert.equal(status, 200);
      assert.ok(bytes > 500 * mebibyte, `${bytes}`);
      const grown = peakBytes() - atRest;
      assert.ok(grown < 150 * mebibyte, `the daemon took ${Math.round(grown / mebibyte)} MiB more`);
      assert.equal(await inside(container, "stat -c %s /big"), String(500 * mebibyte));
    });
  });

  it("with names that are no UTF-8 go through commit, save, load, and out again", async () => {
    const listing = "cd /n; for f in * */*; do printf '%q ' $f; [ -d $f ] || cat $f; done";
    await withContainer([], async (container) => {
      await inside(
        container,
        "mkdir -p $'/n/d\\xfe'; echo 1 > $'/n/d\\xfe/a\\xff'; echo 2 > $'/n/\\xe9\u00e9'; ln -s $'d\\xfe' /n/l; seq 9999 > $'/n/b\\xff'",
      );
      const told = await inside(container, listing);
      await onggi.output(["commit", container, "bytes:1"]);
      await onggi.output(["save", "-o", join(scratch, "bytes.tar"), "bytes:1"]);
      await onggi.output(["rmi", "bytes:1"]);
      await onggi.output(["load", "-i", join(scratch, "bytes.tar")]);
      assert.equal(await onggi.output(["run", "--rm", "bytes:1", "bash", "-ec", listing]), told);
      assert.ok(told.includes("$'d\\376/a\\377' 1"), told);
      await onggi.output(["rmi", "bytes:1"]);
    });
  });

  it("are told apart alike by an overlay's upper directory and by comparing all", async () => {
    await withContainer([], async (container) => {
      await inside(
        container,
        `rm -r /etc/ssl; mkdir -p /etc/ssl/certs; echo > /etc/ssl/new; cp -a /usr/bin/ls /usr/bin/ls2; touch /usr/bin/cat; chmod 700 /usr
        mv /usr/bin/ls2 /usr/bin/ls; rm /etc/os-release; mkdir /etc/os-release; echo > /etc/os-release/x; mkdir -p /a/b; echo > /a/b/c; ln -s /a /l
        rm -rf /usr/bin/mv; ln -s /nowhere /usr/bin/mv; mkdir /gone; rm -r /gone; echo > /etc/.wh.odd`,
      );
      assert.match((await onggi.run(["commit", container])).stderr, /\/etc\/\.wh\.odd can't be part of an image/);
      const fork = await onggi.output(["fork", container]);
      try {
        const [told, compared] = [await onggi.output(["diff", container]), await onggi.output(["diff", fork.trim()])];
        const ofIdentity = /^. \/etc(\/machine-id)?$/;
        const lines = (text: string) => text.split("\n").filter((line) => !ofIdentity.test(line));
        assert.deepEqual(lines(told), lines(compared));
        for (const line of [
          "D /etc/ssl/certs/ca-certificates.crt",
          "C /etc/os-release",
          "A /etc/os-release/x",
          "C /usr/bin/mv",
          "C /usr",
        ])
          assert.ok(told.split("\n").includes(line) || line.includes("ca-cert"), `${line} in ${told}`);
      } finally {
        await onggi.run(["rm", "-f", "-v", fork.trim()]);
      }
    });
  });

  it("differ between snapshots, images and containers as told, with what changed in texts", async () => {
    await withContainer(["--name", "compared"], async (container) => {
      await inside(
        container,
        "mkdir /t; seq 5 > /t/text; cp /t/text /t/same; head -c 99 /dev/zero > /t/binary || dd if=/dev/zero of=/t/binary bs=99 count=1 status=none; echo > /t/gone",
      );
      const first = await onggi.output(["snapshot", "create", container, "first"]);
      await inside(
        container,
        "echo 6 >> /t/text; touch /t/same; echo x >> /t/binary; rm /t/gone; echo new > /t/new; chmod 600 /t",
      );

      assert.equal(
        await onggi.output(["snapshot", "diff", first, container]),
        ["C /t", "C /t/binary", "D /t/gone", "A /t/new", "C /t/text"].join("\n"),
      );
      const patch = await onggi.output(["snapshot", "diff", "--patch", first, container]);
      assert.ok(patch.includes("--- a/t/text\n+++ b/t/text\n@@ -3,3 +3,4 @@\n 3\n 4\n 5\n+6"), patch);
      assert.ok(patch.includes("Binary files a/t/binary and b/t/binary differ"), patch);
      assert.ok((await onggi.output(["snapshot", "diff", "tools", first])).startsWith("A /t\n"));
      assert.match(
        (await onggi.run(["snapshot", "diff", first, "nothing"])).stderr,
        /No such container, snapshot or image: nothing/,
      );
      await onggi.output(["snapshot", "rm", "-f", first]);
    });
  });

  it("leave nothing on the host", async () => {
    const atFirst = daemon.inventory();
    await withContainer([], async (container) => {
      await onggi.output(["cp", `${container}:/etc`, join(scratch, "etc")]);
      await onggi.output(["diff", container]);
      const answer = await new ApiClient(daemon.socket).stream("GET", `/containers/${container}/export`);
      answer.destroy();
    });
    await assertNothingLeft(daemon, atFirst);
  });
});

describe("a commit on a full disk", () => {
  it("says so, leaves nothing, and the container goes on", async () => {
    const disk = join(scratch, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=120m", "tmpfs", disk]);
    const small = await startDaemon({ root: join(disk, "data"), runRoot: join(scratch, "small-run") });
    const client = clientOf("onggi", small);
    try {
      await client.output(["image", "from-host", "-t", "tools", ...programs.split(" ")]);
      const id = await client.output(["run", "-d", "tools", "sleep", "1000"]);
      await client.output(["exec", id, "dd", "if=/dev/urandom", "of=/data", "bs=1M", "count=20", "status=none"]);
      await client.output(["commit", id, "fits:1"]);
      await client.output(["rmi", "fits:1"]);
      const stored = () =>
        sh(`find data/blobs data/images data/snapshots -mindepth 1 -maxdepth 3 | grep -v trash | sort`, disk);
      await sleep(500);
      const before = stored();
      const free =
        Number(execFileSync("stat", ["-f", "-c", "%a", disk])) * Number(execFileSync("stat", ["-f", "-c", "%S", disk]));
      writeFileSync(join(disk, "filler"), Buffer.alloc(free - 10 * mebibyte));

      const { code, stderr } = await client.run(["commit", id, "full:1"]);

      assert.equal(code, 1);
      assert.match(stderr, /no space left|disk is full|full/i);
      rmSync(join(disk, "filler"));
      await sleep(500);
      assert.equal(stored(), before);
      assert.equal(await client.output(["exec", id, "stat", "-c", "%s", "/data"]), String(20 * mebibyte));
      await client.output(["commit", id, "later:1"]);
      await client.output(["rm", "-f", id]);
    } finally {
      await small.stop();
      execFileSync("umount", ["-l", disk]);
    }
  });
});

/** What both clients keep: Docker's own leaves out attributes of users, holes, and parts of seconds. */
function plain(lines: string): string[] {
  return lines
    .split("\n")
    .filter((line) => /^[^#]*[dflp] \d+ /.test(line))
    .map((line) => line.replace(/ (\d+)\.\d+ /, " $1 "));
}

function peakBytes(): number {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

async function archiveOf(container: string, path: string): Promise<Buffer> {
  const { status, body } = await new ApiClient(daemon.socket).call(
    "GET",
    `/containers/${container}/archive?path=${path}`,
  );
  assert.equal(status, 200, body.toString());
  return body;
}

async function put(container: string, path: string, archive: Buffer): Promise<number> {
  return (await send(container, path, [archive])).status;
}

async function send(
  container: string,
  path: string,
  chunks: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<{ status: number; bytes: number }> {
  const call = request({
    socketPath: daemon.socket,
    method: "PUT",
    path: `/containers/${container}/archive?path=${path}`,
    agent: false,
  });
  const answered = new Promise<number>((resolve, reject) => {
    call.once("error", reject);
    call.once("response", (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    });
  });
  answered.catch(() => {});
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (!call.write(chunk)) await once(call, "drain");
  }
  call.end();
  return { status: await answered, bytes };
}
