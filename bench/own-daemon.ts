import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDaemon, type TestDaemon } from "../test/e2e/harness.ts";
import { Api } from "./api.ts";
import { makeScratchImage } from "./scratch-image.ts";

/** The image that benches run: what the yardstick runs, too. */
export const scratchImage = "onggi-bench:latest";

export interface OwnDaemon {
  readonly daemon: TestDaemon;
  readonly api: Api;
  /** Another daemon on the same roots, fresh as after a boot. */
  restart(): Promise<void>;
  /** Removes what is left and ends it. */
  stop(): Promise<void>;
}

export interface OwnDaemonOptions {
  /** Further flags of the daemon. */
  readonly args?: readonly string[];
  /** On the file system that is asked about; that of temporary files unless told. */
  readonly parent?: string;
}

/** A daemon of this bench's own, with the images `host` and {@link scratchImage}. */
export async function startOwnDaemon({ args = [], parent = tmpdir() }: OwnDaemonOptions = {}): Promise<OwnDaemon> {
  const directory = mkdtempSync(join(parent, "onggi-bench-"));
  // The run directory is in memory, as /run is on every host that systemd boots; the data is on a disk.
  const runRoot = mkdtempSync("/dev/shm/onggi-bench-");
  const places = { root: join(directory, "data"), runRoot, bridge: "onggibench0", args };
  const scratch = makeScratchImage(scratchImage);
  let daemon = await startDaemon(places);
  for (const command of [
    ["image", "from-host"],
    ["load", "-q", "-i", scratch.archive],
  ]) {
    const made = await daemon.onggi(command);
    if (made.code !== 0) throw new Error(`onggi ${command.join(" ")}: ${made.stderr}`);
  }
  scratch.remove();
  let api = new Api(daemon.socket);
  return {
    get daemon() {
      return daemon;
    },
    get api() {
      return api;
    },
    async restart() {
      api.close();
      await daemon.stop();
      daemon = await startDaemon(places);
      api = new Api(daemon.socket);
    },
    async stop() {
      const all = await api.json<{ Id: string }[]>("GET", "/containers/json?all=1");
      for (const { Id } of all) await api.remove(Id);
      api.close();
      await daemon.stop();
      for (const path of [directory, runRoot]) rmSync(path, { recursive: true, force: true });
    },
  };
}
