import type { Platform } from "../oci/platform.ts";
import type { ContainerConfig, ImageConfig } from "./model.ts";

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
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly exposedPorts: readonly string[];
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

export interface LastRun {
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** Milliseconds since the epoch; 0 for never. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

export const neverRan: LastRun = { exitCode: 0, error: "", oomKilled: false, startedAtMs: 0, finishedAtMs: 0 };
