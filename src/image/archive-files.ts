import { posix } from "node:path";
import { OnggiError } from "../base/error.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import type { Blob, ContentStore, Ingest } from "./content-store.ts";
import { decompress } from "./decompress.ts";
import type { TarEntry } from "./tar-entry.ts";
import { corrupt } from "./tar-header.ts";
import { TarReader } from "./tar-reader.ts";

const maxJsonBytes = 16 << 20;
const maxLinks = 8;

/** An image archive's files, each stored as a blob and held until released. */
export interface ArchiveFiles {
  /** The blob of a file, links followed. */
  find(path: string): Blob | undefined;
  /** A small file's content. */
  read(path: string): Promise<Buffer | undefined>;
  hasBlob(digest: Digest): boolean;
  /** Keeps another blob of the store until release. */
  hold(digest: Digest): void;
  blobs(): Iterable<Digest>;
  release(): void;
}

/**
 * Stores every file of a tar under its digest.
 *
 * @param discard - called with what was stored when the archive turns out to be damaged
 * @throws OnggiError `corrupt` when the tar is damaged or a blob isn't what its name says; nothing is kept then
 */
export async function spoolArchive(
  content: ContentStore,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  discard: (blobs: Iterable<Digest>) => void,
): Promise<ArchiveFiles> {
  const files = new Map<string, Blob>();
  const links = new Map<string, string>();
  const holds = new Map<Digest, () => void>();
  const hold = (digest: Digest) => {
    if (!holds.has(digest)) holds.set(digest, content.hold(digest));
  };
  const release = () => {
    for (const letGo of holds.values()) letGo();
  };

  let ingest: Ingest | undefined;
  try {
    for await (const event of tarEvents(decompress(archive, { signal }))) {
      signal.throwIfAborted();
      if (event.kind === "data") await ingest?.write(event.bytes);
      else if (event.kind === "entry") {
        const { type, path, linkPath } = event.entry;
        if (type === "file") ingest = await content.begin();
        // A symbolic link is relative to its folder, a hard link to the archive.
        else if (type === "symlink") links.set(clean(path), clean(posix.join(posix.dirname(clean(path)), linkPath)));
        else if (type === "hardlink") links.set(clean(path), clean(linkPath));
      } else if (ingest !== undefined) {
        const path = clean(event.entry.path);
        const expected = digestOfPath(path);
        const blob = await commit(ingest, expected, hold, path);
        ingest = undefined;
        files.set(path, blob);
      }
    }
  } catch (error) {
    await ingest?.abort();
    release();
    discard(holds.keys());
    throw error;
  }

  const find = (path: string): Blob | undefined => {
    let at = clean(path);
    for (let hops = 0; hops < maxLinks; hops++) {
      const file = files.get(at);
      const next = links.get(at);
      if (file !== undefined || next === undefined) return file;
      at = next;
    }
    return undefined;
  };
  const all = new Set([...files.values()].map(({ digest }) => digest));
  return {
    find,
    read: async (path) => {
      const blob = find(path);
      return blob === undefined ? undefined : await content.read(blob.digest, maxJsonBytes);
    },
    hasBlob: (digest) => all.has(digest),
    hold,
    blobs: () => [...all, ...holds.keys()],
    release,
  };
}

async function commit(
  ingest: Ingest,
  expected: Digest | undefined,
  hold: (digest: Digest) => void,
  path: string,
): Promise<Blob> {
  try {
    if (expected !== undefined) hold(expected);
    const blob = await ingest.commit(expected === undefined ? {} : { digest: expected });
    hold(blob.digest);
    return blob;
  } catch (error) {
    if (error instanceof OnggiError)
      throw new OnggiError("corrupt", `${path} in the archive is damaged: ${error.message}`);
    throw error;
  }
}

type TarEvent =
  | { readonly kind: "entry" | "end"; readonly entry: TarEntry }
  | { readonly kind: "data"; readonly bytes: Buffer };

/** A tar's members in order, for a consumer that has to wait between them. */
async function* tarEvents(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarEvent> {
  const events: TarEvent[] = [];
  let current: TarEntry | undefined;
  const reader = new TarReader({
    entry: (entry) => {
      current = entry;
      events.push({ kind: "entry", entry });
    },
    data: (bytes, hole) => {
      if (hole > maxJsonBytes) throw corrupt("a file of the archive has a large hole");
      if (hole > 0) events.push({ kind: "data", bytes: Buffer.alloc(hole) });
      events.push({ kind: "data", bytes });
    },
    end: () => {
      if (current !== undefined) events.push({ kind: "end", entry: current });
    },
  });
  for await (const chunk of chunks) {
    reader.write(chunk);
    yield* events.splice(0);
  }
  reader.end();
  yield* events.splice(0);
}

/** A blob's path in a layout tells its digest. */
function digestOfPath(path: string): Digest | undefined {
  const digest = path.replace(/^blobs\/sha256\//, "sha256:");
  return isDigest(digest) ? digest : undefined;
}

function clean(path: string): string {
  return posix.join("/", path).slice(1);
}
