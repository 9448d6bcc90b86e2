import type { TreeChange } from "./tree-compare.ts";

/** The files of containers, running or not. Every `key` of a container as in `ContainersFace`; paths are those inside it. */
export interface FilesFace {
  /** What lies at a path, the last part of it not followed. `not_found` in Docker's words. */
  stat(key: string, path: string): Promise<PathInfo>;
  /** A file, or a folder with all that is in it, as a tar whose members stand below its own name; `PATH/.` leaves that name out. */
  read(
    key: string,
    path: string,
    options?: FilesOptions,
  ): Promise<{ info: PathInfo; archive: AsyncIterable<Uint8Array> }>;
  /** Unpacks a tar, plain or compressed, into a folder that is there. */
  write(key: string, path: string, archive: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<void>;
  /** What a container has changed of its image. */
  changes(key: string): Promise<readonly FileChange[]>;
  /** Differences between two trees: containers as they are now, snapshots (`CONTAINER@NAME`), images. */
  diff(from: string, to: string, options?: FilesOptions & { readonly patch?: boolean }): AsyncIterable<FileDifference>;
  /** A container's whole tree as a tar, without what is mounted in it. */
  export(key: string, options?: FilesOptions): Promise<AsyncIterable<Uint8Array>>;
  /** Makes an image of a container's changes. @returns its id */
  commit(key: string, options?: CommitRequest): Promise<string>;
  /** Makes an image of a tar of a whole tree, plain or compressed. @returns its id */
  import(archive: AsyncIterable<Uint8Array>, options?: ImportRequest): Promise<string>;
}

export interface FilesOptions {
  readonly signal?: AbortSignal;
}

export interface WriteOptions extends FilesOptions {
  /** Refuses to put a folder in the place of anything else, and the reverse. Default: false. */
  readonly keepsTypes?: boolean;
  /** Everything belongs to the container's user afterwards, not to whom the archive says. */
  readonly asContainerUser?: boolean;
}

export interface PathInfo {
  /** The path's last part, as asked for. */
  readonly name: string;
  readonly type: "file" | "directory" | "symlink" | "char" | "block" | "fifo" | "socket";
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Of a link: where it leads in the end; else "". */
  readonly linkTarget: string;
}

export interface FileChange {
  readonly kind: TreeChange["kind"];
  /** Absolute. */
  readonly path: string;
}

export interface FileDifference extends FileChange {
  /** A unified diff, where it was asked for and both sides are text; a sentence where they aren't. */
  readonly patch?: string;
}

export interface ImageRequest extends FilesOptions {
  /** `name[:tag]`; without it the image has an id only. */
  readonly reference?: string;
  readonly comment?: string;
  /** Dockerfile instructions on how containers of the image run: `CMD ["sh"]`, `ENV A=b`. */
  readonly changes?: readonly string[];
}

export interface CommitRequest extends ImageRequest {
  readonly author?: string;
  /** The container stands still meanwhile. Default: true. */
  readonly pause?: boolean;
}

export interface ImportRequest extends ImageRequest {
  /** `os/architecture[/variant]`; the host's unless said. */
  readonly platform?: string;
}
