/** Makes images by hand, so that a test can have one that no tool would make. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const types = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

export interface OddImage {
  readonly reference: string;
  readonly architecture?: string;
  readonly command?: readonly string[];
  /** Content by path; all of it is executable. */
  readonly files: Readonly<Record<string, Buffer | string>>;
}

export interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

export interface OddBlobs {
  readonly layer: Blob;
  readonly config: Blob;
  readonly manifest: Blob;
}

/** The blobs of an image of one layer. */
export function oddBlobs(
  scratch: string,
  { architecture = "amd64", command = ["/program"], files }: OddImage,
): OddBlobs {
  const tree = join(scratch, "tree");
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content, { mode: 0o755 });
  }
  const layer = blobOf(execFileSync("tar", ["-C", tree, "-c", "."], { maxBuffer: 2 ** 30 }));
  const config = jsonBlob({
    architecture,
    os: "linux",
    config: { Cmd: command },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptor(types.config, config),
    layers: [descriptor(types.layer, layer)],
  });
  return { layer, config, manifest };
}

/** An OCI layout as a tar archive; `spoil` may change the content of a blob after its digest was taken. */
export function oddArchive(
  scratch: string,
  image: OddImage,
  spoil: (blobs: OddBlobs) => OddBlobs = (same) => same,
): string {
  const blobs = oddBlobs(scratch, image);
  const layout = join(scratch, "layout");
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  for (const { digest, bytes } of Object.values(spoil(blobs)) as Blob[])
    writeFileSync(join(layout, "blobs/sha256", digest.slice("sha256:".length)), bytes);
  const annotations = { "org.opencontainers.image.ref.name": image.reference };
  const manifests = [{ ...descriptor(types.manifest, blobs.manifest), annotations }];
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests }));
  const archive = join(scratch, "image.tar");
  execFileSync("tar", ["-C", layout, "-cf", archive, "."]);
  return archive;
}

/** An executable of another architecture, as far as the kernel reads it. */
export function foreignElf(): Buffer {
  const header = Buffer.alloc(4096);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(process.arch === "arm64" ? 62 : 183, 18); // x86-64 or AArch64: whichever this isn't
  header.writeUInt32LE(1, 20);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  return header;
}

export const manifestType = types.manifest;

function descriptor(mediaType: string, { digest, bytes }: Blob): object {
  return { mediaType, digest, size: bytes.length };
}

function jsonBlob(value: object): Blob {
  return blobOf(Buffer.from(JSON.stringify(value)));
}

function blobOf(bytes: Buffer): Blob {
  return { bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}
