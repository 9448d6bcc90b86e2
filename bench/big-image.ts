import { execFileSync } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { tarEntry } from "../src/image/tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../src/image/tar-writer.ts";

export interface BigImage {
  /** A docker archive. */
  readonly archive: string;
  /** The layers' tars beside it, for GNU tar. */
  readonly layers: readonly string[];
  remove(): void;
}

const folderFiles = 50;

/** An image as builds leave them: most files small, some large, spread over folders, in layers of the same size. The same bytes each time. */
export function makeBigImage(name: string, { files = 50_000, bytes = 1e9, layers = 5 } = {}): BigImage {
  const folder = mkdtempSync(join(tmpdir(), "onggi-big-"));
  const random = seeded(7);
  const noise = Buffer.from(Uint8Array.from({ length: 1 << 20 }, () => random() * 256));
  const paths = Array.from({ length: layers }, (_, index) => join(folder, `${index}.tar`));
  const diffIds = paths.map((path, layer) => {
    const out = new HashedFile(path);
    for (let index = 0; index < files / layers; index++) {
      const directory = `usr/lib/l${layer}/d${Math.floor(index / folderFiles)}`;
      if (index % folderFiles === 0) out.write(encodeTarHeader(tarEntry({ type: "directory", path: directory })));
      const size = Math.round(Math.min(-Math.log(1 - random()) * (bytes / files), 4e6));
      const path = `${directory}/file-${index}.so`;
      out.write(
        encodeTarHeader(
          tarEntry({ type: "file", path, size, mtimeNs: BigInt(1_700_000_000 + index) * 1_000_000_000n }),
        ),
      );
      for (let left = size; left > 0; ) {
        const start = Math.floor(random() * (noise.length / 2));
        const piece = noise.subarray(start, start + Math.min(left, noise.length / 2));
        out.write(piece);
        left -= piece.length;
      }
      out.write(tarPadding(size));
    }
    out.write(tarEnd());
    return out.close();
  });
  const archive = join(folder, "image.tar");
  writeArchive(archive, name, paths, diffIds);
  return { archive, layers: paths, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function writeArchive(archive: string, name: string, layers: readonly string[], diffIds: readonly string[]): void {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const config = { architecture, os: "linux", config: { Cmd: ["/x"] }, rootfs: { type: "layers", diff_ids: diffIds } };
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: layers.map((path) => basename(path)) }];
  const folder = dirname(archive);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  execFileSync("tar", [
    "-cf",
    archive,
    "-C",
    folder,
    "manifest.json",
    "config.json",
    ...layers.map((path) => basename(path)),
  ]);
}

class HashedFile {
  readonly #fd: number;
  readonly #hash: Hash = createHash("sha256");

  constructor(path: string) {
    this.#fd = openSync(path, "wx");
  }

  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    writeSync(this.#fd, bytes);
  }

  /** @returns the digest of all that was written */
  close(): string {
    closeSync(this.#fd);
    return `sha256:${this.#hash.digest("hex")}`;
  }
}

/** A small generator of numbers from 0 to 1 that is the same each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
