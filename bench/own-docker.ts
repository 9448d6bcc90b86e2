import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Api } from "./api.ts";

export interface OwnDocker {
  readonly api: Api;
  readonly host: string;
  stop(): Promise<void>;
}

const dockerd = "/usr/sbin/dockerd";

/** A dockerd of this bench's own, with the same image; a reason where there can be none. */
export async function startOwnDocker(archive: string): Promise<OwnDocker | string> {
  if (!existsSync(dockerd)) return "dockerd is not installed (Debian: docker.io)";
  const root = mkdtempSync(join(tmpdir(), "onggi-bench-docker-"));
  const socket = join(root, "docker.sock");
  const folders = [
    "--data-root",
    join(root, "data"),
    "--exec-root",
    join(root, "exec"),
    "--pidfile",
    join(root, "pid"),
  ];
  const child = spawn(dockerd, ["-H", `unix://${socket}`, ...folders], { stdio: "ignore", detached: true });
  const api = new Api(socket);
  const stop = async () => {
    api.close();
    child.kill("SIGTERM");
    if (child.exitCode === null)
      await Promise.race([new Promise((resolve) => child.once("exit", resolve)), sleep(20_000)]);
    rmSync(root, { recursive: true, force: true });
  };
  for (let attempt = 0; attempt < 150; attempt++) {
    const answers = await api.call("GET", "/_ping").then(
      () => true,
      () => false,
    );
    if (answers) {
      execFileSync("docker", ["-H", `unix://${socket}`, "load", "-q", "-i", archive]);
      return { api, host: `unix://${socket}`, stop };
    }
    if (child.exitCode !== null) break;
    await sleep(200);
  }
  await stop();
  return "dockerd doesn't start here";
}
