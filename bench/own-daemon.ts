import { startDaemon, type TestDaemon } from "../test/e2e/harness.ts";
import { Api } from "./api.ts";
import { makeScratchImage } from "./scratch-image.ts";

/** The image that benches run: what the yardstick runs, too. */
export const scratchImage = "onggi-bench:latest";

export interface OwnDaemon {
  readonly daemon: TestDaemon;
  readonly api: Api;
  /** Removes what is left and ends it. */
  stop(): Promise<void>;
}

/** A daemon of this bench's own, with the images `host` and {@link scratchImage}. */
export async function startOwnDaemon(): Promise<OwnDaemon> {
  const daemon = await startDaemon();
  const scratch = makeScratchImage(scratchImage);
  for (const args of [
    ["image", "from-host"],
    ["load", "-q", "-i", scratch.archive],
  ]) {
    const made = await daemon.onggi(args);
    if (made.code !== 0) throw new Error(`onggi ${args.join(" ")}: ${made.stderr}`);
  }
  scratch.remove();
  const api = new Api(daemon.socket);
  return {
    daemon,
    api,
    async stop() {
      const all = await api.json<{ Id: string }[]>("GET", "/containers/json?all=1");
      for (const { Id } of all) await api.remove(Id);
      api.close();
      await daemon.stop();
    },
  };
}
