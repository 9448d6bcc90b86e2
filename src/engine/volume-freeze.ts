import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "./container.ts";
import type { ContainerNames } from "./container-names.ts";

const startMs = 10_000;
const stepMs = 10;

export interface FreezeParts {
  readonly names: ContainerNames;
  /** Has a container stand still until the returned function is called. */
  still(container: Container): Promise<() => Promise<void>>;
}

/**
 * Has containers stand still while a volume of theirs is copied.
 *
 * @param ids - those that may write to the volume, those that are being started among them
 */
export async function whileStill<T>(parts: FreezeParts, ids: readonly string[], work: () => Promise<T>): Promise<T> {
  const { names } = parts;
  const writers = ids.filter((id) => names.has(id)).map((id) => names.find(id));
  await untilStarted(writers);
  const goOn: (() => Promise<void>)[] = [];
  try {
    for (const container of writers) goOn.push(await parts.still(container));
    return await work();
  } finally {
    for (const go of goOn) await go().catch(() => {}); // The container has ended meanwhile.
  }
}

/** One that has its volumes but doesn't run yet would begin to write in the middle of it. */
async function untilStarted(containers: readonly Container[]): Promise<void> {
  const deadline = Date.now() + startMs;
  while (containers.some((container) => container.run === undefined) && Date.now() < deadline) await sleep(stepMs);
}
