import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const intervalMs = 1000;
/** Less CPU than this in an interval is rest. */
const restCpuUs = 50_000;
/** Less growth than this isn't worth a collection. */
const growthBytes = 4 * 1024 * 1024;

/**
 * Collects garbage once after each burst of work, when the process has come to rest.
 *
 * V8 collects when it allocates. A daemon that has just unpacked an image, or answered five hundred requests, and then rests would keep
 * tens of megabytes for as long as nobody asks for more. A collection takes some ten milliseconds, while nothing waits for it.
 *
 * @returns a function that ends it
 */
export function collectWhenIdle(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let cpu = process.cpuUsage();
  let keptBytes = 0;
  const timer = setInterval(() => {
    const used = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const bytes = process.memoryUsage.rss();
    if (used.user + used.system > restCpuUs || bytes < keptBytes + growthBytes) return;
    collect();
    keptBytes = process.memoryUsage.rss();
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
