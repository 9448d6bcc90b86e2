/** A real Debian, through Debian's own registry and back, unpacked by the executor into overlay's folders. */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Layers } from "../../src/engine/layers.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { type Images, openImages } from "../../src/image/images.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import type { Snapshotter } from "../../src/storage/snapshotter.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";
import { login, startRegistry, whyNoRegistry } from "./docker-registry.ts";
import { type DebianImage, debianImage, whyNoDebian } from "./image-debian.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");

describe("a real image", {
  skip: whyNoRegistry || whyNoDebian(),
}, () => {
  let scratch: string;
  let executor: Executor;
  let snapshots: Snapshotter;
  let images: Images;
  let registry: ChildProcess;
  let host: string;
  let debian: DebianImage;

  before(async () => {
    debian = await debianImage();
    scratch = mkdtempSync(join(tmpdir(), "onggi-registry-"));
    mkdirSync(join(scratch, "run"));
    executor = await openExecutor({ binary, socketDirectory: join(scratch, "run") });
    snapshots = await openSnapshotter({
      tools: noTools,
      root: join(scratch, "snapshots"),
      candidates: [overlayCandidate],
    });
    images = await openImages({ root: scratch, sink: new Layers(snapshots, executor), usedBy: () => [] });
    ({ registry, host } = await startRegistry(scratch));
  });
  after(async () => {
    registry?.kill("SIGKILL");
    await snapshots?.close();
    await executor?.close();
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  });

  it("loads, and is in its folder as debootstrap made it", async () => {
    const said = await Array.fromAsync(images.load(createReadStream(debian.archive)));

    assert.equal(said.at(-1)?.stream, "Loaded image: debian:test\n");
    assertSameTree(await unpackedFolder(images, snapshots, "debian:test"), debian.layer);
  });

  it("goes to a registry and comes back the same", async () => {
    const name = `${host}/team/debian:12`;
    await images.tag("debian:test", name);
    const { id } = await images.get(name);

    const pushed = await Array.fromAsync(images.push(name, { login }));
    await images.remove(name);
    await images.remove("debian:test");
    assert.deepEqual(await images.list(), []);
    assert.deepEqual(readdirSync(join(scratch, "blobs/sha256")), []);
    assert.equal([...snapshots.list()].length, 0);
    const pulled = await Array.fromAsync(images.pull(name, { login }));

    const digest = (pushed.at(-1)?.aux as { Digest?: string } | undefined)?.Digest;
    assert.equal((await images.get(name)).id, id);
    assert.ok(pulled.some(({ status }) => status === `Digest: ${digest}`));
    assert.equal(pulled.at(-1)?.status, `Status: Downloaded newer image for ${name}`);
    assertSameTree(await unpackedFolder(images, snapshots, name), debian.layer);
  });

  it("isn't sent twice, nor to another repository of the registry", async () => {
    const name = `${host}/team/debian:12`;
    const again = await Array.fromAsync(images.push(name, { login }));
    assert.ok(again.some(({ status }) => status === "Layer already exists"));

    await images.tag(name, `${host}/other/debian:new`);
    const mounted = await Array.fromAsync(images.push(`${host}/other/debian:new`, { login }));
    assert.ok(mounted.some(({ status }) => status === "Mounted from team/debian"));
    const digests = (await images.get(name)).repoDigests.map((one) => one.split("@")[1]);
    assert.equal(new Set(digests).size, 1);
  });

  it("is denied without the login, and named when it isn't there", async () => {
    const pull = (name: string, options: Parameters<Images["pull"]>[1] = {}) =>
      Array.fromAsync(images.pull(`${host}/${name}`, options));
    await assert.rejects(pull("team/debian:12"), {
      code: "denied",
      message: /^pull access denied for .*may require 'docker login'/,
    });
    await assert.rejects(pull("team/debian:12", { login: { ...login, password: "wrong" } }), { code: "denied" });
    await assert.rejects(pull("team/debian:13", { login }), {
      code: "not_found",
      message: /^manifest for .*13 not found: manifest unknown/,
    });
    await assert.rejects(Array.fromAsync(images.push(`${host}/other/debian:new`)), { code: "denied" });
  });

  it("says whether the registry takes a login", async () => {
    const { signal } = new AbortController();
    await images.checkLogin(`http://${host}/v2/`, login, signal);
    await assert.rejects(images.checkLogin(host, { ...login, password: "wrong" }, signal), {
      code: "denied",
      message: /^unauthorized: /,
    });
  });

  it("is saved and loaded again with its digest", async () => {
    const name = `${host}/team/debian:12`;
    const before = await images.get(name);
    const path = join(scratch, "saved.tar");
    writeFileSync(path, Buffer.concat(await Array.fromAsync(images.save([name]))));
    const listed = spawnSync("tar", ["-tf", path], { encoding: "utf8" });
    assert.match(
      listed.stdout,
      /^blobs\/\nblobs\/sha256\/\n[\s\S]*index.json\nmanifest.json\noci-layout\nrepositories\n$/,
    );
    await images.remove(before.id, { force: true });

    await Array.fromAsync(images.load(createReadStream(path)));

    assert.equal((await images.get(name)).id, before.id);
  });
});

async function unpackedFolder(images: Images, snapshots: Snapshotter, name: string): Promise<string> {
  const { chainIds } = await images.resolve(name);
  const mounts = await snapshots.view(`view-${chainIds.length}-${Date.now()}`, chainIds.at(-1) ?? "");
  const key = [...snapshots.list()].find(({ kind }) => kind === "view")?.id ?? "";
  await snapshots.remove(key);
  return mounts[0]?.source ?? "";
}

/** GNU tar finds no difference in mode, owner, time, link, device or content between a folder and an archive of it. */
function assertSameTree(folder: string, tar: string): void {
  const { status, stdout, stderr } = spawnSync("tar", ["-d", "--numeric-owner", "-f", tar, "-C", folder], {
    encoding: "utf8",
  });
  assert.equal(status, 0, `${folder}: ${stdout}${stderr}`);
  const count = (program: string, ...args: string[]) =>
    spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 << 20 }).stdout.split("\n").length;
  assert.equal(count("find", `${folder}/`), count("tar", "-tf", tar));
}
