import { DaemonError } from "./client.ts";
import type { Context } from "./command.ts";
import { explainError } from "./exit.ts";
import type { Flags } from "./flag.ts";

/** The path of one container's resource. */
export function containerPath(key: string, verb = ""): string {
  return `/containers/${encodeURIComponent(key)}${verb === "" ? "" : `/${verb}`}`;
}

/** The path of one image's resource; slashes of its name stay. */
export function imagePath(key: string, verb = ""): string {
  return `/images/${key.split("/").map(encodeURIComponent).join("/")}${verb === "" ? "" : `/${verb}`}`;
}

/** The path of one volume's resource. */
export function volumePath(name: string): string {
  return `/volumes/${encodeURIComponent(name)}`;
}

/**
 * Does the same to each argument, all at a time; prints what comes of it, in order, and goes on where one fails.
 *
 * @returns 1 when one failed
 */
export async function forEach(
  { io }: Pick<Context<Flags>, "io">,
  keys: readonly string[],
  work: (key: string) => Promise<string | undefined>,
): Promise<number> {
  let status = 0;
  const pending = keys.map((key) =>
    work(key).then(
      (line) => ({ line }),
      (error: unknown) => ({ error }),
    ),
  );
  for (const one of pending) {
    const outcome = await one;
    if ("error" in outcome) {
      if (!(outcome.error instanceof DaemonError) && keys.length === 1) throw outcome.error;
      io.stderr.write(`${explainError(outcome.error)}\n`);
      status = 1;
    } else if (outcome.line !== undefined) io.stdout.write(`${outcome.line}\n`);
  }
  return status;
}
