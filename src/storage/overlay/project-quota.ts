import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../../base/error.ts";
import { O_RDONLY } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";
import { fileSystemOf } from "../file-system.ts";
import {
  decodeQuota,
  encodeLimit,
  encodeProject,
  FS_IOC_FSSETXATTR,
  isEnforced,
  Q_GETQUOTA,
  Q_SETQUOTA,
  Q_XGETQSTATV,
  type QuotaUse,
  quotaCommand,
  quotaSize,
  stateRequest,
} from "../quota-format.ts";
import type { DriverTools, StorageLimit, Usage } from "../snapshotter.ts";

const fileSystems = new Set(["ext4", "xfs"]);
/** Ids of projects that are taken by trees: others who use project quotas count from 1. */
const firstId = 0x4f000000;
const lastId = 0x4fffffff;
/** Directories that the driver and the kernel make beside what a container writes: the tree's own, diff, work and what is in that. */
const ownInodes = 4;
/** `<tree>.<project>`: which trees have a limit, and the ids that are theirs. */
const entryName = /^([0-9a-f]+)\.(\d+)$/;

/**
 * Limits of trees by the file system's own means: ext4 and xfs count what belongs to a *project*, an id that a directory
 * hands on to all that is made in it, and refuse what goes beyond its limit. It costs a container nothing.
 *
 * ```
 * projects/<tree>.<project>   an empty file for each tree that has a limit
 * ```
 *
 * An id is taken only when nothing is charged to it, so neither a tree that is still being deleted nor a stranger who uses project
 * quotas on this file system ever shares one.
 */
export class ProjectQuota {
  readonly #directory: string;
  readonly #tools: DriverTools;
  readonly #projects = new Map<string, number>();
  #next: number;

  private constructor(directory: string, tools: DriverTools) {
    this.#directory = directory;
    this.#tools = tools;
    this.#next = firstId;
  }

  /** Undefined where the file system of `directory` counts no projects or doesn't hold them to their limits. */
  static async open(directory: string, tools: DriverTools): Promise<ProjectQuota | undefined> {
    if (!fileSystems.has(fileSystemOf(directory)) || !(await hasProjectQuota(directory, tools))) return undefined;
    const quota = new ProjectQuota(directory, tools);
    quota.#load();
    return quota;
  }

  has(id: string): boolean {
    return this.#projects.has(id);
  }

  /** Gives the directory `id`, which is empty, a project of its own with that limit. */
  async create(id: string, limit: StorageLimit): Promise<void> {
    const tree = join(this.#directory, id);
    const project = this.#projects.get(id) ?? (await this.#take(id));
    const { bytes, inodes } = limit;
    await this.#tools.perform([
      { op: "ioctl", path: tree, flags: O_RDONLY, request: FS_IOC_FSSETXATTR, argument: encodeProject(project) },
      this.#setLimit(project, { bytes, inodes: inodes === undefined ? undefined : inodes + ownInodes }),
    ]);
  }

  async usage(id: string): Promise<Usage> {
    const project = this.#projects.get(id);
    if (project === undefined) throw new OnggiError("not_found", `the tree ${id} has no project quota`);
    const { bytes, inodes, maxBytes, maxInodes } = await this.#use(project);
    return {
      bytes,
      inodes,
      ...(maxBytes === 0 && maxInodes === 0
        ? {}
        : { free: { bytes: free(bytes, maxBytes), inodes: free(inodes, maxInodes) } }),
    };
  }

  /** What is in the tree stays charged to its project, which so isn't taken again as long as that lives; the limit goes. */
  async release(id: string): Promise<void> {
    const project = this.#projects.get(id);
    if (project === undefined) return;
    await this.#tools.perform([this.#setLimit(project, {})]);
    this.#projects.delete(id);
    rmSync(this.#entry(id, project), { force: true });
  }

  async #take(id: string): Promise<number> {
    for (let tries = 0; tries <= lastId - firstId; tries++) {
      const project = this.#next;
      this.#next = project === lastId ? firstId : project + 1;
      if ((await this.#isTaken(project)) || this.#isOurs(project)) continue;
      this.#projects.set(id, project);
      writeFileSync(this.#entry(id, project), "", { mode: 0o600 });
      return project;
    }
    throw new OnggiError("exhausted", `no project id is left for the limit of ${id}`, {
      hint: "Remove containers that have a limit.",
    });
  }

  #isOurs(project: number): boolean {
    return this.#projects.values().some((other) => other === project);
  }

  async #isTaken(project: number): Promise<boolean> {
    const { bytes, inodes, maxBytes, maxInodes } = await this.#use(project);
    return bytes > 0 || inodes > 0 || maxBytes > 0 || maxInodes > 0;
  }

  async #use(project: number): Promise<QuotaUse> {
    const argument = Buffer.alloc(quotaSize);
    const ask = {
      op: "quotactl",
      path: this.#directory,
      command: quotaCommand(Q_GETQUOTA),
      id: project,
      argument,
    } as const;
    // xfs answers ENOENT for a project that nothing was ever charged to.
    const [answer = argument] = await this.#tools.perform([{ ...ask, ignore: ["ENOENT", "ESRCH"] }]);
    return decodeQuota(answer);
  }

  #setLimit(project: number, limit: Partial<Record<keyof StorageLimit, number | undefined>>): Op {
    return {
      op: "quotactl",
      path: this.#directory,
      command: quotaCommand(Q_SETQUOTA),
      id: project,
      argument: encodeLimit(limit),
    };
  }

  #entry(id: string, project: number): string {
    return join(this.#directory, "projects", `${id}.${project}`);
  }

  #load(): void {
    const folder = join(this.#directory, "projects");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const trees = new Set(readdirSync(this.#directory));
    for (const name of readdirSync(folder)) {
      const [, id = "", project = ""] = entryName.exec(name) ?? [];
      if (trees.has(id)) this.#projects.set(id, Number(project));
      else rmSync(join(folder, name), { recursive: true, force: true });
      this.#next = Math.max(this.#next, Math.min(Number(project) + 1, lastId));
    }
  }
}

/** Whether a file system counts projects and enforces their limits: mounted with `prjquota`, ext4 made with `-O quota,project`. */
async function hasProjectQuota(directory: string, tools: DriverTools): Promise<boolean> {
  const command = quotaCommand(Q_XGETQSTATV);
  try {
    const [answer] = await tools.perform([
      { op: "quotactl", path: directory, command, id: 0, argument: stateRequest() },
    ]);
    return answer !== undefined && isEnforced(answer);
  } catch {
    return false; // No quota in the kernel, in the file system or for projects: all say so in their own way.
  }
}

function free(used: number, limit: number): number {
  return limit === 0 ? Number.MAX_SAFE_INTEGER : Math.max(0, limit - used);
}
