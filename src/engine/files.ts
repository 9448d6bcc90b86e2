import { textOf } from "../base/byte-text.ts";
import { OnggiError } from "../base/error.ts";
import type { Worker } from "../executor/executor.ts";
import { StepFailure } from "../executor/step-failure.ts";
import { readEntry, readFiles, scanTree, type TreeEntry } from "../executor/tree-reader.ts";
import { parsePlatform, platformOf } from "../oci/platform.ts";
import type { SpecMount } from "../oci/runtime-spec.ts";
import { extractArchive } from "./archive-extract.ts";
import { archiveName, archivePath, followLinks, nameBelow } from "./archive-path.ts";
import { type ArchiveItem, type Whiteout, writeArchive } from "./archive-write.ts";
import { applyChanges } from "./commit-changes.ts";
import { committedConfig } from "./commit-config.ts";
import type { Container } from "./container.ts";
import type { ContainerNames } from "./container-names.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { ImagesFace } from "./engine.ts";
import type { Events } from "./events.ts";
import type {
  CommitRequest,
  FileChange,
  FileDifference,
  FilesFace,
  FilesOptions,
  ImportRequest,
  PathInfo,
  WriteOptions,
} from "./files-face.ts";
import type { Rootfs } from "./rootfs.ts";
import { specMounts } from "./spec-mounts.ts";
import { compareTrees, differsByMetadata, type TreeChange, withFolders } from "./tree-compare.ts";
import { fileDifferences } from "./tree-difference.ts";
import { enterContainer, enterDirectory, enterRootfs, enterTree, type PlaceParts } from "./tree-place.ts";
import { type Opened, opened } from "./tree-scope.ts";
import type { Tree, TreeSource } from "./tree-source.ts";
import { overlayChanges } from "./tree-upper.ts";
import { resolveUser } from "./user.ts";
import type { Volumes } from "./volumes.ts";

export interface FilesParts extends PlaceParts {
  readonly names: ContainerNames;
  readonly rootfs: Rootfs;
  readonly volumes: Pick<Volumes, "acquire" | "mountsOf" | "release">;
  readonly images: Pick<ImagesFace, "commit">;
  readonly trees: TreeSource;
  readonly events: Events;
  /** Has a container stand still until the returned function is called. */
  still(container: Container): Promise<() => Promise<void>>;
}

/** What the engine itself puts into a container's tree to mount on it: no change of the container's. */
const mountPoints = new Set(["proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf"]);
const maxAccountBytes = 1024 * 1024;

/** The files of one data root's containers: what cp, diff, export, commit and import do. */
export class Files implements FilesFace {
  readonly #parts: FilesParts;

  constructor(parts: FilesParts) {
    this.#parts = parts;
  }

  async stat(key: string, path: string): Promise<PathInfo> {
    const { value: worker, close } = await this.#enter(this.#find(key), "all");
    try {
      return (await this.#look(worker, key, path)).info;
    } finally {
      await close();
    }
  }

  async read(
    key: string,
    path: string,
    { signal }: FilesOptions = {},
  ): Promise<{ info: PathInfo; archive: AsyncIterable<Uint8Array> }> {
    const container = this.#find(key);
    const place = await this.#enter(container, "all");
    try {
      const { info, entry } = await this.#look(place.value, key, path);
      const items = itemsAt(place.value, archivePath(path), entry);
      this.#emit("archive-path", container);
      return { info, archive: closing(writeArchive(place.value, items, signal), place) };
    } catch (error) {
      await place.close();
      throw error;
    }
  }

  async write(
    key: string,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    { keepsTypes = false, asContainerUser = false, signal }: WriteOptions = {},
  ): Promise<void> {
    const container = this.#find(key);
    const { value: worker, close } = await this.#enter(container, "all");
    try {
      const folder = await followLinks(worker, archivePath(path));
      const entry = await readEntry(worker, folder);
      if (entry === undefined) throw notThere(key, path);
      if (entry.type !== "directory") throw new OnggiError("invalid", "extraction point is not a directory");
      this.#checkWritable(container.record, folder);
      const owner = asContainerUser ? await ownerIn(worker, container.record) : undefined;
      const { architecture } = this.#parts.facts;
      await extractArchive(worker, folder, archive, { keepsTypes, owner, architecture, signal });
      this.#emit("extract-to-dir", container);
    } finally {
      await close();
    }
  }

  async changes(key: string): Promise<readonly FileChange[]> {
    const container = this.#find(key);
    const place = await this.#enter(container, "own");
    try {
      const changes = this.#changes(container.record, place.value);
      return (await Array.fromAsync(withFolders(changes))).map(({ kind, path }) => ({ kind, path: `/${path}` }));
    } finally {
      await place.close();
    }
  }

  async *diff(
    from: string,
    to: string,
    { patch = false, signal }: FilesOptions & { readonly patch?: boolean } = {},
  ): AsyncGenerator<FileDifference> {
    await using before = await this.#enterNamed(from);
    await using after = await this.#enterNamed(to);
    for await (const difference of fileDifferences(before.value, after.value, patch)) {
      signal?.throwIfAborted();
      if (!mountPoints.has(difference.path.slice(1)) || difference.kind === "modified") yield difference;
    }
  }

  async export(key: string, { signal }: FilesOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const container = this.#find(key);
    const place = await this.#enter(container, "own");
    this.#emit("export", container);
    return closing(writeArchive(place.value, wholeTree(place.value), signal), place);
  }

  async commit(key: string, request: CommitRequest = {}): Promise<string> {
    const container = this.#find(key);
    const { record } = container;
    const { reference, author, comment, pause = true, changes = [], signal } = request;
    // Before anything stands still: a wrong instruction needs no tree.
    const config = applyChanges(committedConfig(record), changes);
    const goOn = pause ? await this.#parts.still(container) : async () => {};
    try {
      const id = await this.#parts.images.commit({
        parentImageId: record.image.id,
        layerTar: this.#layer(container, signal),
        config,
        createdBy: record.argv.join(" "),
        ...(reference === undefined ? {} : { reference }),
        ...(author === undefined ? {} : { author }),
        ...(comment === undefined ? {} : { comment }),
        ...(signal === undefined ? {} : { signal }),
      });
      this.#emit("commit", container, { comment: comment ?? "", imageID: id, imageRef: reference ?? "" });
      return id;
    } finally {
      // It may have ended meanwhile.
      await goOn().catch(() => {});
    }
  }

  async import(archive: AsyncIterable<Uint8Array>, request: ImportRequest = {}): Promise<string> {
    const { reference, comment = "", changes = [], platform, signal } = request;
    return this.#parts.images.commit({
      layerTar: archive,
      config: applyChanges({}, changes),
      comment,
      ...(reference === undefined ? {} : { reference }),
      ...(platform === undefined ? {} : { platform: parsePlatform(platform, platformOf(process.arch)) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** A container's changes as a layer. */
  async *#layer(container: Container, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const place = await this.#enter(container, "own");
    try {
      yield* writeArchive(place.value, layerItems(this.#changes(container.record, place.value)), signal);
    } finally {
      await place.close();
    }
  }

  /** What differs between a container's tree and its image. */
  async *#changes(record: ContainerRecord, worker: Worker): AsyncGenerator<TreeChange> {
    const { image } = record;
    const now = scanTree(worker, "/", { xattrs: true });
    if (image.chainId === undefined) {
      yield* ownChanges(compareTrees(nothing(), now, differsByMetadata));
      return;
    }
    const { rootfs } = this.#parts;
    const chainId = image.chainId;
    const base = await this.#openTree((use) => rootfs.view(viewName(), chainId, (mounts) => use(mounts)));
    const upper = await this.#upper(record);
    try {
      if (upper === undefined) {
        const before = scanTree(base.value, "/", { xattrs: true });
        yield* ownChanges(compareTrees(before, now, differsByMetadata));
      } else yield* ownChanges(overlayChanges({ upper, base: base.value, merged: worker }, differsByMetadata));
    } finally {
      await upper?.close();
      await base.close();
    }
  }

  /** Where only what differs from the image lies; undefined where no directory tells. */
  async #upper(record: ContainerRecord): Promise<Worker | undefined> {
    const directory = this.#parts.rootfs.describe(record.id).UpperDir;
    // A limited one may lie in a file system that isn't mounted here, and a fork's is about what was forked.
    const tells = directory !== undefined && record.config.storage === undefined && record.base === undefined;
    return tells ? enterDirectory(this.#parts, directory) : undefined;
  }

  /** `all`: with volumes and all that is mounted; `own`: the container's own tree alone. */
  async #enter(container: Container, what: "all" | "own"): Promise<Opened<Worker>> {
    const entered = await this.#enterRunning(container, what);
    if (entered !== undefined) return entered;
    // Nobody may start or remove it meanwhile: its tree would be mounted twice, or go.
    const turn = await opened<void>((use) => container.changes.run(() => use()));
    try {
      // Its tree stays mounted until all of the run is over.
      await container.run?.finished;
      if (runOf(container) !== undefined || container.phase === "removing") {
        throw new OnggiError("conflict", `container ${container.id} was being started or removed`, {
          hint: "Try again.",
        });
      }
      const mounts = this.#parts.rootfs.mounts(container.id);
      if (what === "own") {
        const worker = await enterTree(
          this.#parts,
          mounts.map((mount) => ({ ...mount, readonly: true })),
        );
        return after(worker, () => turn.close());
      }
      await this.#parts.volumes.acquire(container.record);
      const release = async () => {
        this.#parts.volumes.release(container.id);
        await turn.close();
      };
      try {
        return after(await enterTree(this.#parts, mounts, this.#volumesOf(container.record)), release);
      } catch (error) {
        this.#parts.volumes.release(container.id);
        throw error;
      }
    } catch (error) {
      await turn.close();
      throw error;
    }
  }

  /** Undefined for a container that doesn't run, or ends just now. */
  async #enterRunning(container: Container, what: "all" | "own"): Promise<Opened<Worker> | undefined> {
    const running = runOf(container);
    if (running === undefined) return undefined;
    try {
      const worker = await (what === "all" ? enterContainer : enterRootfs)(this.#parts, running);
      return { value: worker, close: () => worker.close() };
    } catch (error) {
      if (error instanceof StepFailure && error.errno === "ESRCH") return undefined;
      throw error;
    }
  }

  /** The trees that `onggi snapshot diff` names; a container that runs is entered, since its tree can't be mounted twice. */
  async #enterNamed(key: string): Promise<AsyncDisposable & { readonly value: Worker }> {
    const tree = await opened<Tree>((use) => this.#parts.trees.withTree(key, use));
    const isContainer = tree.value.kind === "container";
    try {
      const { value, close } = isContainer
        ? await this.#enter(this.#find(tree.value.id), "own")
        : after(await enterTree(this.#parts, tree.value.mounts), async () => {});
      const closeAll = async () => {
        await close();
        await tree.close();
      };
      return { value, [Symbol.asyncDispose]: closeAll };
    } catch (error) {
      await tree.close();
      throw error;
    }
  }

  async #openTree(lend: Parameters<typeof opened<Tree["mounts"]>>[0]): Promise<Opened<Worker>> {
    const mounts = await opened(lend);
    try {
      return after(await enterTree(this.#parts, mounts.value), () => mounts.close());
    } catch (error) {
      await mounts.close();
      throw error;
    }
  }

  /** A stopped container's volumes and binds; file systems that live with it alone aren't there. */
  #volumesOf(record: ContainerRecord): readonly SpecMount[] {
    const mounts = this.#parts.volumes.mountsOf(record);
    const targets = new Set(mounts.filter(({ kind }) => kind !== "tmpfs").map(({ target }) => clean(target)));
    return specMounts({ ...record.config, mounts }, undefined).filter(({ destination }) => targets.has(destination));
  }

  async #look(worker: Worker, key: string, path: string): Promise<{ info: PathInfo; entry: TreeEntry }> {
    const absolute = archivePath(path);
    const entry = await readEntry(worker, absolute, { xattrs: true });
    if (entry === undefined) throw notThere(key, path);
    const { type, mode, size, mtimeNs } = entry;
    const linkTarget = type === "symlink" ? await followLinks(worker, absolute) : "";
    return { info: { name: archiveName(absolute), type, mode, size, mtimeNs, linkTarget }, entry };
  }

  /** The kernel says no as well, but not for a stopped container, and not in Docker's words. */
  #checkWritable(record: ContainerRecord, folder: string): void {
    const above = this.#parts.volumes
      .mountsOf(record)
      .filter(({ target }) => folder === clean(target) || folder.startsWith(`${clean(target)}/`))
      .toSorted((a, b) => clean(b.target).length - clean(a.target).length);
    const [nearest] = above;
    if (nearest === undefined && record.config.readonlyRootfs === true)
      throw new OnggiError("denied", "container rootfs is marked read-only");
    if (nearest !== undefined && nearest.kind !== "tmpfs" && nearest.readonly)
      throw new OnggiError("denied", "mounted volume is marked read-only");
  }

  #find(key: string): Container {
    const container = this.#parts.names.find(key);
    if (container.phase === "removing" || container.phase === "dead") {
      throw new OnggiError("conflict", `container ${key} is being removed`);
    }
    return container;
  }

  #emit(action: string, { record }: Container, more: Readonly<Record<string, string>> = {}): void {
    const { id, labels, name, image } = record;
    this.#parts.events.emit("container", action, id, { ...labels, ...more, image: image.reference, name });
  }
}

function runOf(container: Container): { readonly pid: number; readonly startTime: bigint } | undefined {
  return container.isRunning ? container.run?.monitor : undefined;
}

function after(worker: Worker, then: () => Promise<void>): Opened<Worker> {
  const close = async () => {
    await worker.close();
    await then();
  };
  return { value: worker, close };
}

/** A stream that gives its place back at its end, however that comes. */
async function* closing(chunks: AsyncIterable<Uint8Array>, place: Opened<Worker>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } finally {
    await place.close();
  }
}

async function* itemsAt(worker: Worker, path: string, entry: TreeEntry): AsyncGenerator<ArchiveItem> {
  const base = archiveName(path);
  if (entry.type !== "directory") {
    yield { name: base, path, entry };
    return;
  }
  const folder = path.replace(/\/+$/, "");
  for await (const one of scanTree(worker, path, { xattrs: true })) {
    yield { name: nameBelow(base, one.path), path: one.path === "" ? path : `${folder}/${one.path}`, entry: one };
  }
}

/** All but the root itself, without what the engine mounts its own file systems on. */
async function* wholeTree(worker: Worker): AsyncGenerator<ArchiveItem> {
  for await (const entry of scanTree(worker, "/", { xattrs: true })) {
    if (entry.path !== "") yield { name: entry.path, path: `/${entry.path}`, entry };
  }
}

/** Changes as the members of a layer. */
export async function* layerItems(changes: AsyncIterable<TreeChange>): AsyncGenerator<ArchiveItem | Whiteout> {
  for await (const change of changes) {
    if (change.path === "") continue;
    if (/(^|\/)\.wh\.[^/]*$/.test(change.path) && change.kind !== "deleted") {
      throw new OnggiError(
        "invalid",
        `/${change.path} can't be part of an image: in a layer its name means a deletion`,
        {
          hint: "Give the file another name, or remove it.",
        },
      );
    }
    if (change.kind === "deleted") yield { deleted: change.path };
    else yield { name: change.path, path: `/${change.path}`, entry: change.after };
  }
}

async function* ownChanges(changes: AsyncIterable<TreeChange>): AsyncGenerator<TreeChange> {
  for await (const change of changes) {
    const isOurs =
      change.kind === "added" &&
      mountPoints.has(change.path) &&
      (change.after.type === "directory" || change.after.size === 0);
    if (!isOurs) yield change;
  }
}

async function* nothing(): AsyncGenerator<TreeEntry> {}

/** Who the container's processes run as, by its own account files. */
async function ownerIn(
  worker: Worker,
  { user }: ContainerRecord,
): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (user === "") return undefined;
  const paths = await Promise.all(["/etc/passwd", "/etc/group"].map((path) => followLinks(worker, path)));
  const answers = await readFiles(
    worker,
    paths.map((path) => ({ path, maxBytes: maxAccountBytes })),
  );
  const [passwd = "", group = ""] = answers.map((answer) => (typeof answer === "string" ? "" : textOf(answer)));
  return resolveUser(user, { passwd, group });
}

function notThere(key: string, path: string): OnggiError {
  return new OnggiError("not_found", `Could not find the file ${path} in container ${key}`);
}

function clean(target: string): string {
  return archivePath(target).replace(/(?<=.)\/\.?$/, "");
}

let views = 0;

function viewName(): string {
  return `changes-${process.pid}-${++views}`;
}
