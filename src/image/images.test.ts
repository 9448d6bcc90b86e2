import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { isOnggiError } from "../base/error.ts";
import { digestOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import type { ImageUser } from "./image-info.ts";
import { type Images, openImages } from "./images.ts";
import { MemorySink } from "./memory-sink.ts";
import { tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

let root: string;
let sink: MemorySink;
let users: ImageUser[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "onggi-images-"));
  sink = new MemorySink();
  users = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = () => openImages({ root, sink, usedBy: () => users, platform: { os: "linux", architecture: "amd64" } });

describe("load", () => {
  it("takes a docker archive with files in any order, and finds the image by name and id", async () => {
    const images = await open();

    const said = await all(images.load(chunked(dockerArchive())));

    assert.deepEqual(said.map(({ stream }) => stream).filter(Boolean), ["Loaded image: app:1\n"]);
    const info = await images.get("app:1");
    assert.deepEqual(info.references, ["app:1"]);
    assert.equal(info.config.Cmd?.[0], "/hello");
    assert.equal(info.sizeBytes, 5 + 3);
    assert.deepEqual(
      info.history.map(({ sizeBytes, emptyLayer }) => [sizeBytes, emptyLayer]),
      [
        [5, false],
        [0, true],
        [3, false],
      ],
    );
    assert.equal((await images.get(info.id.slice(7, 15))).id, info.id);
    assert.deepEqual([...(sink.layers.values().next().value?.tree.files.keys() ?? [])], ["/", "/hello"]);
  });

  for (const [name, pack] of [
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    it(`takes an archive compressed with ${name}`, async () => {
      const images = await open();
      await all(images.load(chunked(pack(dockerArchive()))));
      assert.equal((await images.list()).length, 1);
    });
  }

  it("says what is wrong with a damaged archive, and keeps nothing of it", async () => {
    const images = await open();
    const archive = dockerArchive();

    await assert.rejects(all(images.load(chunked(archive.subarray(0, archive.length - 2600)))), (error) =>
      isOnggiError(error, "corrupt"),
    );
    await assert.rejects(
      all(images.load(chunked(dockerArchive({ damage: true })))),
      /layer sha256:[0-9a-f]{64} is damaged/,
    );
    await assert.rejects(all(images.load(chunked(Buffer.from("no tar at all")))), (error) =>
      isOnggiError(error, "corrupt"),
    );

    assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
    assert.equal(sink.layers.size, 0);
    assert.deepEqual(await images.list(), []);
  });

  it("gives a name that another image has to the new one", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    const old = (await images.get("app:1")).id;

    const said = await all(images.load(chunked(dockerArchive({ text: "other" }))));

    assert.match(
      said.map(({ stream }) => stream ?? "").join(""),
      /app:1 already exists, renaming the old one with ID sha256:/,
    );
    assert.notEqual((await images.get("app:1")).id, old);
    assert.deepEqual((await images.get(old)).references, []);
  });
});

describe("load of an OCI layout", () => {
  it("follows nested indexes to the image for this host, and takes its name from the annotations", async () => {
    const images = await open();
    const files = new Map<string, string | Buffer>();
    const add = (bytes: string | Buffer, more: object = {}) => {
      files.set(`blobs/sha256/${digestOf(bytes).slice(7)}`, bytes);
      return { digest: digestOf(bytes), size: Buffer.byteLength(bytes), ...more };
    };
    const layer = tar([["hello", "hello"]]);
    const manifest = (architecture: string) => {
      const rootfs = { type: "layers", diff_ids: [digestOf(layer)] };
      const config = add(JSON.stringify({ architecture, os: "linux", rootfs }), { mediaType: mediaTypes.config });
      const layers = [add(gzipSync(layer), { mediaType: mediaTypes.layerGzip })];
      const platform = { os: "linux", architecture };
      return add(JSON.stringify({ schemaVersion: 2, config, layers }), { mediaType: mediaTypes.manifest, platform });
    };
    const attestation = { ...manifest("unknown"), platform: { os: "unknown", architecture: "unknown" } };
    const [foreign, own] = [manifest("arm64"), manifest("amd64")];
    const inner = add(JSON.stringify({ schemaVersion: 2, manifests: [foreign, own, attestation] }), {
      mediaType: mediaTypes.index,
      annotations: { "io.containerd.image.name": "quay.io/a/b:1", "org.opencontainers.image.ref.name": "1" },
    });
    files.set("index.json", JSON.stringify({ schemaVersion: 2, manifests: [inner] }));

    await all(images.load(chunked(tar([...files]))));

    const [image, ...others] = await images.list();
    assert.deepEqual([image?.references, image?.architecture, others], [["quay.io/a/b:1"], "amd64", []]);
    // The layer, config and manifest of the one image; of the others nothing.
    assert.equal(readdirSync(join(root, "blobs/sha256")).length, 3);

    files.delete(`blobs/sha256/${digestOf(gzipSync(layer)).slice(7)}`);
    await images.remove("quay.io/a/b:1");
    await assert.rejects(all(images.load(chunked(tar([...files])))), {
      code: "corrupt",
      message: /lacks blobs that it names/,
    });
    files.set("index.json", JSON.stringify({ schemaVersion: 2, manifests: [foreign] }));
    await assert.rejects(all(images.load(chunked(tar([...files])))), {
      code: "invalid",
      message: /no image for this host/,
    });
  });

  it("refuses a blob that isn't what its name says, and a tar of something else", async () => {
    const images = await open();
    const swapped = tar([
      [`blobs/sha256/${digestOf("x").slice(7)}`, "y"],
      ["index.json", "{}"],
    ]);
    await assert.rejects(all(images.load(chunked(swapped))), {
      code: "corrupt",
      message: /^blobs\/sha256\/.* is damaged/,
    });
    await assert.rejects(all(images.load(chunked(tar([["etc/passwd", "root"]])))), {
      code: "invalid",
      message: /neither manifest.json nor index.json/,
    });
    assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
  });
});

describe("save", () => {
  it("writes the same archive each time, which loads as the same image elsewhere", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    await images.tag("app:1", "app:2");

    const saved = Buffer.concat(await all(images.save(["app"])));

    assert.deepEqual(Buffer.concat(await all(images.save(["app"]))), saved);
    const before = await images.get("app:1");
    rmSync(root, { recursive: true });
    sink = new MemorySink();
    const other = await open();
    await all(other.load(chunked(saved)));
    assert.deepEqual({ ...(await other.get("app:2")) }, before);
  });

  it("says which image isn't there", async () => {
    const images = await open();
    await assert.rejects(all(images.save(["nothing"])), /^OnggiError: No such image: nothing:latest$/);
  });
});

describe("remove", () => {
  let images: Images;
  beforeEach(async () => {
    images = await open();
    await all(images.load(chunked(dockerArchive())));
  });

  it("untags, then deletes with the last name, in Docker's order", async () => {
    const { id } = await images.get("app:1");
    await images.tag("app:1", "other/app:x");

    assert.deepEqual(await images.remove("app:1"), [{ untagged: "app:1" }]);
    const rest = await images.remove("other/app:x");

    const chain = [...rest].slice(2);
    assert.deepEqual(rest.slice(0, 2), [{ untagged: "other/app:x" }, { deleted: id }]);
    assert.equal(chain.length, 2);
    assert.equal(sink.layers.size, 0);
    assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
  });

  it("refuses in Docker's sentences what containers or other names stand on", async () => {
    const { id } = await images.get("app:1");
    const short = id.slice(7, 19);
    users = [{ id: "0123456789abcdef", running: false }];
    await assert.rejects(images.remove("app:1"), {
      message: `conflict: unable to remove repository reference "app:1" (must force) - container 0123456789ab is using its referenced image ${short}`,
    });
    await assert.rejects(images.remove(id), {
      message: `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container 0123456789ab`,
    });
    users = [{ id: "0123456789abcdef", running: true }];
    await assert.rejects(images.remove(id, { force: true }), {
      message: `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container 0123456789ab`,
    });
    users = [];
    await images.tag("app:1", "b:1");
    await assert.rejects(images.remove(id), {
      message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
    });
    assert.equal((await images.remove(id, { force: true })).length, 5);
  });

  it("keeps layers that another image stands on", async () => {
    await all(images.load(chunked(dockerArchive({ text: "abc", name: "b:1", second: "!!" }))));
    const before = sink.layers.size;
    await images.remove("b:1");
    assert.equal(before, 4);
    assert.equal(sink.layers.size, 2);
    assert.equal((await images.list()).length, 1);
  });

  it("says what isn't there", async () => {
    await assert.rejects(images.remove("nope"), { code: "not_found", message: "No such image: nope:latest" });
  });
});

describe("prune", () => {
  it("removes nameless images, or all that no container uses", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    const old = (await images.get("app:1")).id;
    await all(images.load(chunked(dockerArchive({ text: "newer" }))));

    const first = await images.prune({ all: false });
    assert.ok(first.deleted.includes(old));
    assert.equal(first.bytes, 8);
    assert.equal((await images.list()).length, 1);
    users = [{ id: "x", running: false }];
    assert.deepEqual((await images.prune({ all: true })).deleted, []);
    users = [];
    await images.prune({ all: true });
    assert.deepEqual(await images.list(), []);
  });
});

describe("openImages", () => {
  it("finds what was there, and sweeps what a crash left", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    const before = await images.list();
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(root, "blobs/sha256/.tmp-half"), "half");
    writeFileSync(join(root, "blobs/sha256", digestOf("orphan").slice(7)), "orphan");
    writeFileSync(join(root, "images/.tmp-references.json-1"), "{");

    const again = await open();

    assert.deepEqual(await again.list(), before);
    assert.equal(readdirSync(join(root, "blobs/sha256")).length, 4);
    assert.deepEqual(
      readdirSync(join(root, "images")).sort(),
      [`${before[0]?.id.slice(7)}.json`, "references.json", ".reserve"].sort(),
    );
  });

  it("leaves out an image whose blob is gone, and says so", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    const { layers } = await images.get("app:1");
    rmSync(join(root, "blobs/sha256", layers[0]?.slice(7) ?? ""));

    const again = await open();

    assert.deepEqual(await again.list(), []);
    assert.match(again.repairs.join("\n"), /image sha256:.* can't be used/);
    assert.match(again.repairs.join("\n"), /app:1 was dropped/);
  });

  it("unpacks again what the storage lost", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    sink.layers.clear();

    const resolved = await images.resolve("app:1");

    assert.equal(sink.layers.size, 2);
    assert.equal(resolved.chainIds.length, 2);
    assert.equal(resolved.reference, "app:1");
  });
});

describe("commit", () => {
  it("adds a layer, a step of the history and a name to a parent", async () => {
    const images = await open();
    await all(images.load(chunked(dockerArchive())));
    const parent = await images.get("app:1");

    const id = await images.commit({
      parentImageId: parent.id,
      layerTar: chunked(gzipSync(tar([["etc/third", "1234"]]))),
      config: { Cmd: ["/third"], Env: ["A=1"] },
      reference: "app:2",
      author: "me",
      comment: "why",
      createdBy: "sh -c true",
      createdAtMs: 1000,
    });

    const info = await images.get("app:2");
    assert.equal(info.id, id);
    assert.deepEqual(info.layers, [...parent.layers, digestOf(tar([["etc/third", "1234"]]))]);
    assert.deepEqual([info.config, info.author, info.createdAtMs], [{ Cmd: ["/third"], Env: ["A=1"] }, "me", 1000]);
    assert.deepEqual(info.history.at(-1), {
      ...{ createdAtMs: 1000, createdBy: "sh -c true", author: "me", comment: "why", emptyLayer: false, sizeBytes: 4 },
    });
    assert.equal(info.sizeBytes, 12);
    assert.equal(sink.layers.size, 3);
    await images.remove("app:1");
    assert.deepEqual((await images.resolve("app:2")).chainIds.length, 3);
  });

  it("makes an image of one layer alone, and none of an empty tar", async () => {
    const images = await open();
    const base = await images.commit({ layerTar: chunked(tar([["a", "b"]])), config: {}, reference: "base" });
    const same = await images.commit({ parentImageId: base, layerTar: chunked(tar([])), config: { Cmd: ["x"] } });

    const info = await images.get(same);
    assert.deepEqual([info.layers.length, info.references], [1, []]);
    assert.deepEqual(
      info.history.map(({ emptyLayer }) => emptyLayer),
      [false, true],
    );
    assert.equal(info.architecture, "amd64");
  });

  it("leaves nothing of a damaged tar or for a parent that isn't there", async () => {
    const images = await open();
    const whole = tar([["a", "b".repeat(2000)]]);
    const config = {};
    await assert.rejects(images.commit({ layerTar: chunked(whole.subarray(0, 1024)), config }), { code: "corrupt" });
    await assert.rejects(images.commit({ parentImageId: "none", layerTar: chunked(whole), config }), {
      code: "not_found",
    });
    await assert.rejects(images.commit({ layerTar: chunked(whole), config, reference: "A B" }), { code: "invalid" });
    assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
    assert.equal(sink.layers.size, 0);
  });
});

describe("fromHost", () => {
  it("makes the same image of the same programs, and names what is missing", async () => {
    const images = await open();
    const said = await all(images.fromHost({ reference: "host", programs: ["sh", "no-such-program"] }));
    const first = await images.get("host");

    await all(images.fromHost({ reference: "again", programs: ["sh"] }));

    assert.match(said.map(({ status }) => status).join("\n"), /no-such-program is not on this host/);
    assert.equal((await images.get("again")).id, first.id);
    const tree = sink.layers.values().next().value?.tree.files;
    assert.equal(tree?.get("/tmp")?.mode, 0o1777);
    assert.equal(tree?.get("/root")?.mode, 0o700);
    await assert.rejects(all(images.fromHost({ reference: "x", programs: ["no-such-program"] })), {
      code: "not_found",
    });
  });
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(stream);
}

async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

function tar(files: readonly (readonly [path: string, content: string | Buffer])[]): Buffer {
  const parts = files.flatMap(([path, content]) => {
    const data = Buffer.from(content as Buffer);
    return [encodeTarHeader(tarEntry({ type: "file", path, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

/** An image of two layers as older Docker saved it: layers before the manifest, a link instead of a copy. */
function dockerArchive({ text = "hello", second = "123", name = "app:1", damage = false } = {}): Buffer {
  const layers = [tar([["hello", text]]), tar([["etc/second", second]])];
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: "2024-01-02T03:04:05Z",
    config: { Cmd: ["/hello"], Env: null, Labels: { a: "b" } },
    rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
    history: [{ created_by: "one" }, { created_by: "ENV", empty_layer: true }, { created_by: "two" }],
  });
  if (damage) layers[0] = tar([["hello", `${text.slice(1)}!`]]);
  const manifest = JSON.stringify([{ Config: "c.json", RepoTags: [name], Layers: ["1/layer.tar", "./2/layer.tar"] }]);
  return tar([
    ["2/layer.tar", layers[1] ?? ""],
    ["manifest.json", manifest],
    ["c.json", config],
    ["1/layer.tar", layers[0] ?? ""],
  ]);
}
