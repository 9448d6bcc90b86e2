import { startDaemon, type TestDaemon } from "../test/e2e/harness.ts";
import { Api } from "./api.ts";

export interface OwnDaemon {
  readonly daemon: TestDaemon;
  readonly api: Api;
  /** Removes what is left and ends it. */
  stop(): Promise<void>;
}

/** A daemon of this bench's own, with the image `host`. */
export async function startOwnDaemon(): Promise<OwnDaemon> {
  const daemon = await startDaemon();
  const made = await daemon.onggi(["image", "from-host"]);
  if (made.code !== 0) throw new Error(`image from-host: ${made.stderr}`);
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
