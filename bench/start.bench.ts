/** How long a container, an exec and a whole command take. */
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { table } from "./harness.ts";
import { KernelFloor } from "./kernel-floor.ts";
import { scratchImage, startOwnDaemon } from "./own-daemon.ts";
import { startOwnDocker } from "./own-docker.ts";

const onggi = join(import.meta.dirname, "../onggi");
const config = { Image: scratchImage, Cmd: ["/bin/true"] };

function command(file: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "ignore" });
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${file} ${args.join(" ")} ended with ${code}`)),
    );
  });
}

export default table({
  title: "Starting",
  async define({ row, missing }) {
    const own = await startOwnDaemon();
    const floor = new KernelFloor();
    const archive = join(own.daemon.runRoot, "host.tar");
    execFileSync(onggi, ["-H", own.daemon.host, "save", "-o", archive, "host", scratchImage]);
    const docker = await startOwnDocker(archive);
    const sleeper = await own.api.create({ Image: scratchImage, Cmd: ["/bin/pause"] });
    await own.api.start(sleeper);

    const kernel = "the kernel itself: one bridged container";
    row(kernel, () => floor.one(), { n: 100, warmUps: 5 });
    row("API: create + start + wait + remove of `true`", () => own.api.life(config), {
      pairedWith: kernel,
      warmUps: 10,
    });
    row("the same with --rm", () => own.api.life({ ...config, HostConfig: { AutoRemove: true } }).catch(ignoreGone), {
      pairedWith: kernel,
      warmUps: 10,
    });
    row("API: exec of `true`", () => own.api.exec(sleeper, ["/bin/true"]), { n: 100, warmUps: 10 });
    const run = "onggi run --rm host true, the whole process";
    row(run, () => command(onggi, ["-H", own.daemon.host, "run", "--rm", "host", "true"]), { n: 30 });
    row("node -e 0", () => command(process.execPath, ["-e", "0"]), { pairedWith: run });

    if (typeof docker === "string") {
      missing("docker", docker);
    } else {
      const dockerSleeper = await docker.api.create({ Image: scratchImage, Cmd: ["/bin/pause"] });
      await docker.api.start(dockerSleeper);
      row(
        "docker run --rm host true, the whole process",
        () => command("docker", ["-H", docker.host, "run", "--rm", "host", "true"]),
        { pairedWith: run },
      );
      row("docker's API: create + start + wait + remove of `true`", () => docker.api.life(config), { n: 15 });
      row("docker's API: exec of `true`", () => docker.api.exec(dockerSleeper, ["/bin/true"]), { n: 15 });
      return async () => {
        floor[Symbol.dispose]();
        await docker.api.remove(dockerSleeper);
        await docker.stop();
        await own.stop();
      };
    }
    return async () => {
      floor[Symbol.dispose]();
      await own.stop();
    };
  },
});

/** A container with --rm goes by itself: its own removal may come before ours. */
function ignoreGone(error: unknown): void {
  if (!String(error).includes("404") && !String(error).includes("409")) throw error;
}
