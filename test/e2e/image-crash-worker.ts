/** Loads, names and removes images without end, and says what it has done: made to be killed by `image-crash.test.ts`. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openImages } from "../../src/image/images.ts";
import type { LayerSink } from "../../src/image/layer-sink.ts";
import { tarEntry } from "../../src/image/tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../../src/image/tar-writer.ts";
import { type ChainId, digestOf, hexOf, parseChainId } from "../../src/oci/digest.ts";

/** Keeps of each layer only that it is there. */
export function markerSink(folder: string): LayerSink {
  mkdirSync(folder, { recursive: true });
  const path = (chainId: ChainId) => join(folder, hexOf(chainId));
  const list = () => readdirSync(folder).map((name) => parseChainId(`sha256:${name}`));
  return {
    whiteouts: "overlay",
    has: async (chainId) => list().includes(chainId),
    layer: async (chainId, _parent, apply) => {
      await apply({ run: async () => [] });
      writeFileSync(path(chainId), "");
    },
    remove: async (chainId) => {
      rmSync(path(chainId), { force: true });
      return true;
    },
    list: async () => list(),
  };
}

/** An image of two layers, the lower one shared by all. */
export function archive(serial: number): Buffer {
  const layers = [tar([["base", "x".repeat(50_000)]]), tar([["serial", String(serial)]])];
  const config = JSON.stringify({
    ...{ architecture: "amd64", os: "linux" },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(layer)) },
  });
  const manifest = JSON.stringify([{ Config: "c.json", RepoTags: [`app:${serial}`], Layers: ["0.tar", "1.tar"] }]);
  return tar([
    ["0.tar", layers[0] ?? ""],
    ["1.tar", layers[1] ?? ""],
    ["c.json", config],
    ["manifest.json", manifest],
  ]);
}

function tar(files: readonly (readonly [path: string, content: string | Buffer])[]): Buffer {
  const parts = files.flatMap(([path, content]) => {
    const data = Buffer.from(content as Buffer);
    return [encodeTarHeader(tarEntry({ type: "file", path, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

if (import.meta.main) {
  const [root = "", start = "0"] = process.argv.slice(2);
  const sink = markerSink(join(root, "marked"));
  const platform = { os: "linux", architecture: "amd64" };
  const images = await openImages({ root, sink, usedBy: () => [], platform });
  for (let serial = Number(start); ; serial++) {
    await Array.fromAsync(images.load(once(archive(serial))));
    process.stdout.write(`loaded ${serial}\n`);
    await images.tag(`app:${serial}`, "app:newest");
    if (serial % 3 === 0) continue;
    await images.remove(`app:${serial - 1}`).catch(() => []);
    process.stdout.write(`removed ${serial - 1}\n`);
  }
}
