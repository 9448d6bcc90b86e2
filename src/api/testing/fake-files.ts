import { OnggiError } from "../../base/error.ts";
import type {
  CommitRequest,
  FileChange,
  FileDifference,
  FilesFace,
  ImportRequest,
  PathInfo,
  WriteOptions,
} from "../../engine/files-face.ts";

/** One container, `jar`, that has one file, and remembers what is asked of it. */
export class FakeFiles implements FilesFace {
  readonly written: { path: string; archive: string; options: WriteOptions }[] = [];
  readonly committed: CommitRequest[] = [];
  readonly imported: { archive: string; request: ImportRequest }[] = [];
  patched: boolean | undefined;

  async stat(key: string, path: string): Promise<PathInfo> {
    if (path !== "/bin/link") throw new OnggiError("not_found", `Could not find the file ${path} in container ${key}`);
    return { name: "link", type: "symlink", mode: 0o777, size: 4, mtimeNs: 1_500_000_001n, linkTarget: "/bin/tool" };
  }

  async read(key: string, path: string): Promise<{ info: PathInfo; archive: AsyncIterable<Uint8Array> }> {
    return { info: await this.stat(key, path), archive: pieces("a", "tar") };
  }

  async write(
    _key: string,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    { signal: _signal, ...options }: WriteOptions = {},
  ): Promise<void> {
    this.written.push({ path, archive: await textOf(archive), options });
  }

  async changes(): Promise<readonly FileChange[]> {
    return [
      { kind: "modified", path: "/etc" },
      { kind: "added", path: "/etc/new" },
      { kind: "deleted", path: "/etc/old" },
    ];
  }

  async *diff(from: string, to: string, options: { readonly patch?: boolean } = {}): AsyncGenerator<FileDifference> {
    this.patched = options.patch;
    yield { kind: "modified", path: `/${from}-${to}`, patch: "--- a\n" };
  }

  async export(): Promise<AsyncIterable<Uint8Array>> {
    return pieces("the", "tree");
  }

  async commit(_key: string, { signal: _signal, ...request }: CommitRequest = {}): Promise<string> {
    this.committed.push(request);
    return `sha256:${"3c".repeat(32)}`;
  }

  async import(
    archive: AsyncIterable<Uint8Array>,
    { signal: _signal, ...request }: ImportRequest = {},
  ): Promise<string> {
    this.imported.push({ archive: await textOf(archive), request });
    return `sha256:${"4d".repeat(32)}`;
  }
}

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(chunks)).toString();
}
