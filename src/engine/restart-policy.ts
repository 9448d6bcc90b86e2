import type { RestartPolicy } from "./model.ts";

const firstDelayMs = 100;
const longestDelayMs = 60_000;
/** A run as long as this one starts the delays anew. */
const steadyRunMs = 10_000;

/** Whether a container that ended by itself starts again. */
export function wantsRestart(policy: RestartPolicy | undefined, exitCode: number, restartCount: number): boolean {
  switch (policy?.name) {
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      return exitCode !== 0 && (policy.maximumRetryCount === 0 || restartCount < policy.maximumRetryCount);
    default:
      return false;
  }
}

/** Whether a container starts when the engine comes up and finds it ended: `on-failure` only if it ran when the host went down. */
export function wantsStartAtBoot(
  policy: RestartPolicy | undefined,
  record: { readonly stoppedByUser: boolean; readonly wasRunning: boolean },
): boolean {
  switch (policy?.name) {
    case "always":
      return record.wasRunning || record.stoppedByUser;
    case "unless-stopped":
      return record.wasRunning && !record.stoppedByUser;
    case "on-failure":
      return record.wasRunning;
    default:
      return false;
  }
}

/** How long to wait before the next start: doubled each time, so that a container that can't run doesn't eat the host. */
export function nextDelayMs(lastDelayMs: number, ranMs: number): number {
  if (ranMs >= steadyRunMs || lastDelayMs === 0) return firstDelayMs;
  return Math.min(lastDelayMs * 2, longestDelayMs);
}
