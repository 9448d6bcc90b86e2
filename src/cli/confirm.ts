import type { Context } from "./command.ts";

/** Says what will be removed, and asks. @returns whether the answer was yes */
export async function confirm(
  { io, print }: Pick<Context<object>, "io" | "print">,
  what: readonly string[],
): Promise<boolean> {
  print(`WARNING! This will remove:\n${what.map((one) => `  - ${one}\n`).join("")}`);
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: io.stdin, output: io.stdout });
  try {
    return await new Promise<boolean>((resolve) => {
      lines.once("close", () => resolve(false));
      lines.question("Are you sure you want to continue? [y/N] ").then(
        (answer) => resolve(/^y(es)?$/i.test(answer.trim())),
        () => resolve(false),
      );
    });
  } finally {
    lines.close();
  }
}
