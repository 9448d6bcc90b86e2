import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { digestOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import { FakeRegistry } from "./fake-registry.ts";
import { type Images, type ImagesOptions, openImages } from "./images.ts";
import type { LayerSink } from "./layer-sink.ts";
import { MemorySink } from "./memory-sink.ts";
import { tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";
import { ArchiveSink, TreeSink } from "./testing/disk-sink.ts";

let scratch: string;
let root: string;
let registry: FakeRegistry;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-once-"));
  root = join(scratch, "root");
  registry = new FakeRegistry();
  await registry.open();
});
afterEach(async () => {
  await registry.close();
  rmSync(scratch, { recursive: true, force: true });
});

const open = (sink: LayerSink, more: Partial<ImagesOptions> = {}) =>
  openImages({
    ...{ root, sink, usedBy: () => [], platform: { os: "linux", architecture: "amd64" }, retryDelaysMs: [1] },
    ...more,
  });
const blobs = () => readdirSync(join(root, "blobs/sha256")).map((name) => `sha256:${name}`);
const small = (info: { readonly id: string }) => blobs().filter((one) => one !== info.id);

const layers = [
  tar([
    ["bin/hello", "hello"],
    ["bin/hello", "hello again"],
  ]),
  tar([["etc/big", "0123456789".repeat(200_000)]]),
  tar([["etc/.wh.big", ""]]),
];

for (const [name, newSink] of [
  ["unpacked trees", () => new TreeSink(scratch)],
  ["whole copies", () => new TreeSink(scratch, "remove")],
  ["archives", () => new ArchiveSink(scratch)],
] as const) {
  describe(`layers kept as ${name}`, () => {
    it("are kept once: their tars are made again for save, bit by bit the same", async () => {
      const images = await open(newSink());
      await load(images);
      const info = await images.get("app:1");
      assert.equal(small(info).length, 1, "more than config and manifest");

      const saved = Buffer.concat(await Array.fromAsync(images.save(["app:1"])));

      assert.deepEqual(Buffer.concat(await Array.fromAsync(images.save(["app:1"]))), saved);
      for (const layer of layers) assert.ok(saved.includes(layer));
      root = join(scratch, "second");
      const other = await open(new MemorySink());
      await Array.fromAsync(other.load(chunked(saved)));
      assert.equal((await other.get("app:1")).id, info.id);
      assert.deepEqual(
        blobs().filter((one) => layers.some((layer) => digestOf(layer) === one)),
        layers.map(digestOf).sort(),
      );
    });

    it("survive another start, and go with their image", async () => {
      const sink = newSink();
      await load(await open(sink));

      const images = await open(sink);

      assert.deepEqual(images.repairs, []);
      assert.equal((await images.resolve("app:1")).chainIds.length, 3);
      assert.equal(readdirSync(join(root, "layers")).length, 3);
      await images.remove("app:1");
      assert.deepEqual([blobs(), readdirSync(join(root, "layers")), sink.layers.size], [[], [], 0]);
    });

    it("keep their blobs, too, where that is configured", async () => {
      const images = await open(newSink(), { keepBlobs: true });
      await load(images);
      assert.equal(blobs().length, 5);
      await images.remove("app:1");
      assert.deepEqual(blobs(), []);
    });

    it("are pulled once, and pushed as they were where the registry has them", async () => {
      const { manifest } = publish();
      const images = await open(newSink());
      const reference = `${registry.host}/team/app:latest`;
      await Array.fromAsync(images.pull(reference));
      assert.equal(blobs().length, 2);

      const again = await Array.fromAsync(images.pull(reference));
      await images.tag(reference, `${registry.host}/team/app:2`);
      const said = await Array.fromAsync(images.push(`${registry.host}/team/app:2`));

      assert.equal(again.filter(({ status }) => status === "Already exists").length, 3);
      assert.equal(registry.requests.filter((one) => one.startsWith("GET") && one.includes("/blobs/")).length, 4);
      assert.equal(said.filter(({ status }) => status === "Layer already exists").length, 3);
      assert.deepEqual(said.at(-1)?.aux, { Tag: "2", Digest: manifest.digest, Size: manifest.size });
    });

    it("are packed for a registry that lacks them, the same bytes each time", async () => {
      publish();
      const images = await open(newSink());
      await Array.fromAsync(images.pull(`${registry.host}/team/app:latest`));
      const { id } = await images.get(`${registry.host}/team/app`);
      registry.blobs.clear();

      const pushed = async (name: string) => {
        await images.tag(id, `${registry.host}/${name}`);
        const aux = (await Array.fromAsync(images.push(`${registry.host}/${name}`))).at(-1)?.aux;
        return (aux as { Digest: string }).Digest;
      };
      const digest = await pushed("other/app:1");

      assert.equal(blobs().length, 2, "what was packed is kept");
      const plain = [...registry.blobs.values()]
        .filter((one) => one[0] === 0x1f)
        .map((one) => digestOf(gunzipSync(one)));
      assert.deepEqual(plain.sort(), layers.map(digestOf).sort());
      assert.ok((await images.get(id)).repoDigests.includes(`${registry.host}/other/app@${digest}`));
      registry.blobs.clear();
      assert.equal(await pushed("third/app:1"), digest);
      await images.remove(id, { force: true });
      await Array.fromAsync(images.pull(`${registry.host}/other/app@${digest}`));
      assert.equal((await images.get(id)).id, id);
    });
  });
}

describe("layers of a data root that kept blobs", () => {
  it("stay usable, and are kept once as soon as an image with them comes again", async () => {
    const sink = new TreeSink(scratch);
    await load(await open(sink, { keepBlobs: true }));
    rmSync(join(root, "layers"), { recursive: true });

    const images = await open(sink);

    assert.deepEqual([images.repairs, blobs().length], [[], 5]);
    await images.resolve("app:1");
    await Array.fromAsync(images.save(["app:1"]));
    await load(images, "app:2");
    await images.remove("app:2");
    const third = await open(sink);
    assert.deepEqual([third.repairs, blobs().length], [[], 2]);
    assert.ok(Buffer.concat(await Array.fromAsync(third.save(["app:1"]))).includes(layers[0] ?? ""));
  });
});

describe("an archive in a file", () => {
  it("is read where it lies, unless it isn't the file that was meant", async () => {
    const images = await open(new TreeSink(scratch));
    const path = join(scratch, "archive.tar");
    const layer = tar([["a", "b"]]);
    const config = JSON.stringify({ os: "linux", rootfs: { type: "layers", diff_ids: [digestOf(layer)] } });
    const manifest = JSON.stringify([{ Config: "c.json", RepoTags: ["file:1"], Layers: ["l.tar"] }]);
    const archive = tar([
      ["l.tar", layer],
      ["c.json", config],
      ["manifest.json", manifest],
    ]);
    for (const bytes of [archive, gzipSync(archive)]) {
      writeFileSync(path, bytes);
      await Array.fromAsync(images.load({ path }));
      assert.equal((await images.get("file:1")).layers.length, 1);
      await images.remove("file:1");
    }
    const { dev, ino } = statSync(path, { bigint: true });
    const load = (given: Parameters<Images["load"]>[0]) => Array.fromAsync(images.load(given));
    await load({ path, identity: { device: dev, inode: ino } });
    await assert.rejects(load({ path, identity: { device: dev, inode: ino + 1n } }), {
      code: "not_found",
      message: /another file/,
    });
    await assert.rejects(load({ path: join(scratch, "none") }), { code: "not_found", message: /can't be opened/ });
    await assert.rejects(load({ path: scratch }), { code: "invalid", message: /is no file/ });
  });
});

describe("two loads of the same image at a time", () => {
  it("unpack each layer once, and both are whole", async () => {
    const sink = new TreeSink(scratch);
    let made = 0;
    const layer = sink.layer.bind(sink);
    sink.layer = async (...given) => {
      made++;
      await layer(...given);
    };
    const images = await open(sink);
    await Promise.all([load(images, "app:1"), load(images, "app:2"), load(images, "app:1")]);
    assert.equal(made, 3);
    assert.equal((await images.list()).length, 2);
    await images.remove("app:1");
    assert.equal((await images.resolve("app:2")).chainIds.length, 3);
  });
});

describe("a layer that was changed behind its back", () => {
  it("is told when its tar is made again", async () => {
    const sink = new TreeSink(scratch);
    const images = await open(sink);
    await load(images);
    const [lowest] = (await images.resolve("app:1")).chainIds;
    writeFileSync(join(sink.tree(lowest ?? ("" as never)) ?? "", "bin/hello"), "hellO again");
    await assert.rejects(Array.fromAsync(images.save(["app:1"])), {
      code: "corrupt",
      message: /is damaged: its tar made again has the digest/,
    });
  });
});

describe("the members of an archive", () => {
  it("tell where content lies, holes of sparse files left out", async () => {
    const folder = join(scratch, "sparse");
    mkdirSync(folder);
    const script =
      "echo start > s && echo end | dd of=s bs=1 seek=3000000 status=none && truncate -s 4M s && ln s hard";
    execFileSync("sh", ["-c", script], { cwd: folder });
    for (const format of ["posix", "gnu"]) {
      const layer = execFileSync("tar", ["-cS", `--format=${format}`, "--sort=name", "-C", folder, "."], {
        maxBuffer: 1 << 24,
      });
      const sink = new ArchiveSink(scratch);
      const images = await open(sink);
      const id = await images.commit({ layerTar: chunked(layer), config: {} });
      const [chainId] = (await images.resolve(id)).chainIds;
      const entries = sink.entries.get(digestOf(layer)) ?? [];

      const file = entries.find(({ type }) => type === "file");
      assert.deepEqual(
        entries.map(({ type, path }) => [type, path]).sort(),
        [
          ["directory", "./"],
          ["file", "./hard"],
          ["hardlink", "./s"],
        ],
        format,
      );
      assert.ok(file !== undefined && chainId !== undefined);
      assert.equal(file.size, 4 << 20);
      assert.ok(file.extents.every(({ archiveOffset }) => archiveOffset % 512 === 0));
      assert.ok(file.extents.reduce((sum, { length }) => sum + length, 0) < 100_000);
      const content = sink.read(chainId, file);
      assert.deepEqual(
        [String(content.subarray(0, 6)), String(content.subarray(3_000_000, 3_000_004))],
        ["start\n", "end\n"],
      );
      await images.remove(id);
    }
  });
});

describe("what an image may ask for", () => {
  it("has limits, each named by the error", async () => {
    const images = await open(new TreeSink(scratch), { limits: { maxLayers: 2, maxLayerBytes: 1 << 20 } });
    await assert.rejects(load(images), {
      code: "exhausted",
      message: /has 3 layers, more than 2/,
      hint: /--max-layers/,
    });
    const big = images.commit({ layerTar: chunked(layers[1] ?? Buffer.alloc(0)), config: {} });
    await assert.rejects(big, { code: "exhausted", hint: /--max-layer-bytes/ });
    assert.deepEqual([blobs(), readdirSync(join(root, "layers")), await images.list()], [[], [], []]);
  });

  it("refuses ten thousand layers before any of them is read", async () => {
    const images = await open(new TreeSink(scratch));
    const layer = tar([["a", "b"]]);
    const config = JSON.stringify({
      ...{ architecture: "amd64", os: "linux" },
      rootfs: { type: "layers", diff_ids: Array.from({ length: 10_000 }, () => digestOf(layer)) },
    });
    const manifest = [
      { Config: "c.json", RepoTags: ["deep:1"], Layers: Array.from({ length: 10_000 }, () => "l.tar") },
    ];
    const archive = tar([
      ["l.tar", layer],
      ["c.json", config],
      ["manifest.json", JSON.stringify(manifest)],
    ]);
    await assert.rejects(Array.fromAsync(images.load(chunked(archive))), {
      code: "exhausted",
      message: /has 10000 layers, more than 500/,
    });
    assert.deepEqual([blobs(), await images.list()], [[], []]);
  });

  it("is refused where its manifest lies about a layer", async () => {
    const images = await open(new TreeSink(scratch));
    const config = publish();
    const lied = (size: number) => ({ ...config.described[1], size });
    const [first, , third] = config.described;
    for (const size of [10, 10_000_000]) {
      const manifest = { schemaVersion: 2, config: config.config, layers: [first, lied(size), third] };
      registry.addManifest("team/app", "lies", manifest, mediaTypes.manifest);
      await assert.rejects(Array.fromAsync(images.pull(`${registry.host}/team/app:lies`)), { code: "corrupt" });
      assert.deepEqual([blobs(), readdirSync(join(root, "layers"))], [[], []]);
    }
  });
});

async function load(images: Images, name = "app:1"): Promise<void> {
  const config = JSON.stringify({
    ...{ architecture: "amd64", os: "linux", author: name },
    rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
  });
  const manifest = JSON.stringify([
    { Config: "c.json", RepoTags: [name], Layers: layers.map((_, index) => `${index}.tar`) },
  ]);
  const packed = [layers[0] ?? "", gzipSync(layers[1] ?? ""), zstdCompressSync(layers[2] ?? "")];
  const files = packed.map((bytes, index): [string, string | Buffer] => [`${index}.tar`, bytes]);
  await Array.fromAsync(images.load(chunked(tar([...files, ["c.json", config], ["manifest.json", manifest]]))));
}

/** Puts an image of the three layers into the registry. */
function publish() {
  const described = layers.map((layer) => ({
    mediaType: mediaTypes.layerGzip,
    ...registry.addBlob(gzipSync(layer, { level: 9 })),
  }));
  const file = {
    ...{ architecture: "amd64", os: "linux" },
    rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
  };
  const config = { mediaType: mediaTypes.config, ...registry.addBlob(Buffer.from(JSON.stringify(file))) };
  const manifest = registry.addManifest(
    "team/app",
    "latest",
    { schemaVersion: 2, config, layers: described },
    mediaTypes.manifest,
  );
  return { manifest, config, described };
}

function tar(files: readonly (readonly [path: string, content: string | Buffer])[]): Buffer {
  const parts = files.flatMap(([path, content]) => {
    const data = Buffer.from(content as Buffer);
    return [encodeTarHeader(tarEntry({ type: "file", path, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}
