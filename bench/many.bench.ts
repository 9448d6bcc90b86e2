/** Many containers: side by side, and one more beside many that run. */
import { table } from "./harness.ts";
import { KernelFloor } from "./kernel-floor.ts";
import { scratchImage, startOwnDaemon } from "./own-daemon.ts";

const lives = 100;
const jobs = 16;
const alive = 500;
const sample = 25;

export default table({
  title: "Many",
  unit: "see the row",
  async define({ row }) {
    const own = await startOwnDaemon();
    const floor = new KernelFloor();
    const config = { Image: scratchImage, Cmd: ["/bin/true"] };
    const kernel = `the kernel itself: ${lives} containers, ${jobs} at a time, per second`;
    row(kernel, () => floor.rate(lives, jobs), { n: 5, warmUps: 1 });
    row(
      `API: ${lives} × create, start, wait, remove, ${jobs} at a time, per second (goal: 100)`,
      () => livesPerSecond(),
      { pairedWith: kernel, warmUps: 1 },
    );

    const first = `start beside few that run (the first ${sample}), ms`;
    const last = `start beside ${alive - sample} that run, ms (goal: 1.5 times the first, less what the kernel adds)`;
    const starts: number[] = [];
    row(first, () => startOne(), { n: sample, warmUps: 0 });
    row("starts in between, ms", () => startOne(), { n: alive - 2 * sample, warmUps: 0 });
    row(last, () => startOne(), { n: sample, warmUps: 0 });
    row(
      `the same last ones as multiples of the first`,
      () => median(starts.slice(-sample)) / median(starts.slice(0, sample)),
      { n: 1, warmUps: 0 },
    );

    async function startOne(): Promise<number> {
      const id = await own.api.create({ Image: scratchImage, Cmd: ["/bin/pause"] });
      const before = performance.now();
      await own.api.start(id);
      const took = performance.now() - before;
      starts.push(took);
      return took;
    }

    async function livesPerSecond(): Promise<number> {
      let left = lives;
      const before = performance.now();
      await Promise.all(
        Array.from({ length: jobs }, async () => {
          while (left-- > 0) await own.api.life(config);
        }),
      );
      return lives / ((performance.now() - before) / 1000);
    }

    return async () => {
      floor[Symbol.dispose]();
      await own.stop();
    };
  },
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
