/** Real images for tests: Debian as debootstrap makes it, kept between runs as a docker archive. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { tarEntry } from "../../src/image/tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../../src/image/tar-writer.ts";
import { platformOf } from "../../src/oci/platform.ts";

const cache = "/var/cache/onggi-test";

export interface DebianImage {
  /** Of the archive. */
  readonly archive: string;
  /** Of the one layer's plain tar. */
  readonly layer: string;
  readonly reference: string;
}

const mirror = "http://deb.debian.org/debian";

/** Why {@link debianImage} can't give this image here, or `false` when it can: the words that a test is skipped with. */
export function whyNoDebian(packages: readonly string[] = []): string | false {
  if (existsSync(pathsOf(packages).layer)) return false;
  if (spawnSync("debootstrap", ["--version"]).status !== 0) return "needs debootstrap";
  // wget, as debootstrap itself does, so that the same proxy settings hold
  const release = `${mirror}/dists/bookworm/InRelease`;
  const { status } = spawnSync("wget", ["-q", "-t", "1", "-T", "10", "-O", "/dev/null", release], { timeout: 20_000 });
  return status === 0 ? false : `needs debootstrap's mirror, ${mirror}, which can't be reached`;
}

/** A minimal Debian with further packages, such as `nginx-light`; made once, which takes half a minute and more. */
export async function debianImage(
  packages: readonly string[] = [],
  command: readonly string[] = ["bash"],
): Promise<DebianImage> {
  const image = pathsOf(packages);
  mkdirSync(cache, { recursive: true });
  if (!existsSync(image.layer)) makeLayer(image.layer, packages);
  if (!existsSync(image.archive)) {
    await writeArchive(image.archive, { reference: image.reference, command, layers: [image.layer] });
  }
  return image;
}

function pathsOf(packages: readonly string[]): DebianImage {
  const name = ["debian", ...packages].join("-");
  return {
    layer: join(cache, `${name}.tar`),
    archive: join(cache, `${name}.docker.tar`),
    reference: `${name}:test`,
  };
}

function makeLayer(path: string, packages: readonly string[]): void {
  const scratch = mkdtempSync(join(tmpdir(), "onggi-debian-"));
  try {
    const root = join(scratch, "root");
    const include = packages.length === 0 ? [] : [`--include=${packages.join(",")}`];
    run("debootstrap", ["--variant=minbase", ...include, "bookworm", root, mirror]);
    run("sh", [
      "-c",
      `rm -rf ${root}/var/cache/apt/archives/*.deb ${root}/var/lib/apt/lists/* ${root}/dev/* ${root}/proc/* ${root}/sys/*`,
    ]);
    run("tar", [
      "-c",
      "--format=posix",
      "--sort=name",
      "--numeric-owner",
      "--xattrs",
      "--xattrs-include=*",
      "-f",
      `${path}.new`,
      "-C",
      root,
      ".",
    ]);
    renameSync(`${path}.new`, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What {@link writeArchive} puts into a docker archive. */
export interface ArchiveContent {
  readonly reference: string;
  readonly command: readonly string[];
  /** The lowest first: the path of a plain tar, or its bytes. */
  readonly layers: readonly (string | Uint8Array)[];
}

/** Writes an image as a docker archive. */
export async function writeArchive(path: string, { reference, command, layers }: ArchiveContent): Promise<void> {
  const created = "2024-01-01T00:00:00Z";
  const config = JSON.stringify({
    ...platformOf(process.arch),
    created,
    config: { Cmd: command, Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] },
    rootfs: { type: "layers", diff_ids: await Promise.all(layers.map(digestOfLayer)) },
    history: layers.map((_, index) => ({ created, created_by: index === 0 ? "debootstrap" : `layer ${index}` })),
  });
  const names = layers.map((_, index) => (index === 0 ? "layer.tar" : `layer-${index}.tar`));
  const manifest = JSON.stringify([{ Config: "config.json", RepoTags: [reference], Layers: names }]);
  async function* members() {
    for (const [index, layer] of layers.entries()) {
      yield* member(names[index] ?? "", layer);
    }
    yield* member("config.json", Buffer.from(config));
    yield* member("manifest.json", Buffer.from(manifest));
    yield tarEnd();
  }
  await pipeline(members, createWriteStream(`${path}.new`));
  renameSync(`${path}.new`, path);
}

async function* member(path: string, content: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const size = typeof content === "string" ? statSync(content).size : content.length;
  yield encodeTarHeader(tarEntry({ type: "file", path, size }));
  yield* contentOf(content);
  yield tarPadding(size);
}

async function digestOfLayer(layer: string | Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of contentOf(layer)) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

function contentOf(layer: string | Uint8Array): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  return typeof layer === "string" ? (createReadStream(layer) as AsyncIterable<Buffer>) : [layer];
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 64 << 20,
    timeout: 240_000,
  });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
}
