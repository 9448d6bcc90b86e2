import type { Platform } from "../oci/platform.ts";
import type { ContainerConfig, ContainerMount, ImageConfig } from "./model.ts";

/** What is kept of a container from its creation to its removal: its value in the journal of containers. */
export interface ContainerRecord {
  readonly format: 1;
  readonly id: string;
  readonly name: string;
  readonly config: ContainerConfig;
  readonly image: {
    readonly id: string;
    readonly reference: string;
    readonly config: ImageConfig;
    /** What it was built for; undefined where it isn't known. */
    readonly platform?: Platform;
    /** Of the topmost layer; undefined for an image without layers. */
    readonly chainId: string | undefined;
  };
  /** The committed snapshot that its tree stands on, where that isn't the image's topmost layer: it was forked or rolled back. */
  readonly base?: string;
  /** A rollback that is under way; what it means after a crash is told in `rollbacks.ts`. */
  readonly swap?: RootSwap;
  /** A rollback stopped it, and it isn't started again yet. */
  readonly resumes?: true;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly exposedPorts: readonly string[];
  /** All that is mounted, with the names of anonymous volumes; absent in a record of before there were volumes. */
  readonly mounts?: readonly ContainerMount[];
  /** Paths that image or request want a volume at. */
  readonly volumes?: readonly string[];
  readonly stopSignal: string;
  readonly hostname: string;
  readonly createdAtMs: number;
  /** How it last ended, or why it couldn't start. */
  readonly last: LastRun;
  readonly restartCount: number;
  /** A user stopped it: `unless-stopped` then leaves it so over a restart of the host. */
  readonly stoppedByUser: boolean;
  /** It ran when this was written: restart policies look at it when the host comes up again. */
  readonly wasRunning: boolean;
}

/** A tree that is being exchanged for a clone of a snapshot. */
export interface RootSwap {
  /** The committed snapshot to stand on afterwards. */
  readonly base: string;
  /** The snapshot that the tree before becomes, and its name; without one it goes. */
  readonly before: { readonly id: string; readonly name?: string };
  /** It ran, and is to run again. */
  readonly runs: boolean;
}

/** The committed snapshot that a container's tree stands on; undefined for an image without layers. */
export function baseOf({ base, image }: ContainerRecord): string | undefined {
  return base ?? image.chainId;
}

export interface LastRun {
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** Milliseconds since the epoch; 0 for never. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

export const neverRan: LastRun = { exitCode: 0, error: "", oomKilled: false, startedAtMs: 0, finishedAtMs: 0 };
