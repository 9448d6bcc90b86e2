import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TarEntry } from "../../src/image/tar-entry.ts";
import { TarReader, type TarVisitor } from "../../src/image/tar-reader.ts";
import type { LayerArchive, LayerEntry, LayerExtent } from "../../src/storage/layer-archive.ts";

/** A tar in a file as a layer: read whole, so for tests only. */
export function tarLayer(path: string): LayerArchive {
  const tar = readFileSync(path);
  const entries = entriesOf(tar);
  const digest = `sha256:${createHash("sha256").update(tar).digest("hex")}`;
  return { path, bytes: tar.length, digest, entries: () => entries };
}

function entriesOf(tar: Buffer): readonly LayerEntry[] {
  const entries: LayerEntry[] = [];
  let extents: LayerExtent[] = [];
  let position = 0;
  const visitor: TarVisitor = {
    entry(entry: TarEntry) {
      extents = [];
      position = 0;
      entries.push({ ...entry, extents });
    },
    data(bytes, hole) {
      position += hole;
      // The end of a file that ends in a hole is told by a byte that isn't the archive's.
      if (bytes.buffer === tar.buffer) add(extents, position, bytes.byteOffset - tar.byteOffset, bytes.length);
      position += bytes.length;
    },
    end() {},
  };
  const reader = new TarReader(visitor);
  reader.write(tar);
  reader.end();
  return entries;
}

function add(extents: LayerExtent[], offset: number, archiveOffset: number, length: number): void {
  const last = extents.at(-1);
  const isNext = last && last.offset + last.length === offset && last.archiveOffset + last.length === archiveOffset;
  if (isNext) extents[extents.length - 1] = { ...last, length: last.length + length };
  else extents.push({ offset, archiveOffset, length });
}
