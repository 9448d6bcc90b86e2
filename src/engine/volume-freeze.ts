import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "./container.ts";
import type { ContainerNames } from "./container-names.ts";

const settleMs = 10_000;
const stepMs = 10;

export interface FreezeParts {
  readonly names: ContainerNames;
  /** Has a container stand still until the returned function is called. */
  still(container: Container): Promise<() => Promise<void>>;
}

/**
 * Has containers stand still while a volume of theirs is copied.
 *
 * @param writersNow - ids of those that may write to the volume; those that are being started, or that files are copied to, are among them
 */
export async function whileStill<T>(
  parts: FreezeParts,
  writersNow: () => readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const { names } = parts;
  const find = () => {
    const ids = writersNow().filter((id) => names.has(id));
    return ids.map((id) => names.find(id));
  };
  await untilSettled(find);
  const writers = find();
  const goOn: (() => Promise<void>)[] = [];
  try {
    for (const container of writers) goOn.push(await parts.still(container));
    return await work();
  } finally {
    for (const go of goOn) await go().catch(() => {}); // The container has ended meanwhile.
  }
}

/** One that has its volumes but doesn't run yet would begin to write in the middle of it. */
async function untilSettled(find: () => readonly Container[]): Promise<void> {
  const deadline = Date.now() + settleMs;
  while (find().some((container) => container.run === undefined) && Date.now() < deadline) await sleep(stepMs);
}
