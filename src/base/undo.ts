/** Registers what takes back a step that has been done. */
export type Undo = (takeBack: () => void | Promise<void>) => void;

/**
 * Runs work of several steps; when it throws, takes the finished ones back, the newest first.
 *
 * A take-back that fails doesn't stop the others; the first error thrown is the work's own.
 */
export async function withUndo<T>(work: (undo: Undo) => Promise<T>): Promise<T> {
  const takeBacks: (() => void | Promise<void>)[] = [];
  try {
    return await work((takeBack) => takeBacks.push(takeBack));
  } catch (error) {
    for (const takeBack of takeBacks.reverse()) {
      try {
        await takeBack();
      } catch {
        // The work's own error is the one to tell; start-up repairs what a failed take-back left.
      }
    }
    throw error;
  }
}
