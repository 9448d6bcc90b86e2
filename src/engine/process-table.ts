import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { messageOf, OnggiError } from "../base/error.ts";

const run = promisify(execFile);

/**
 * Lists a container's processes as the host's `ps` prints them.
 *
 * @param psArguments - as typed; `-ef` where nothing is
 * @throws OnggiError `invalid` when the columns don't name the PID, as Docker does
 */
export async function processTable(
  pids: readonly number[],
  psArguments: readonly string[],
): Promise<{ readonly titles: readonly string[]; readonly processes: readonly (readonly string[])[] }> {
  const output = await ps(psArguments.length === 0 ? ["-ef"] : psArguments);
  return selectProcesses(output, new Set(pids));
}

/** Keeps the rows of `ps` output whose PID is one of those given. */
export function selectProcesses(
  output: string,
  pids: ReadonlySet<number>,
): { titles: string[]; processes: string[][] } {
  const [header = "", ...rows] = output.split("\n").filter((line) => line !== "");
  const titles = header.trim().split(/\s+/);
  const column = titles.indexOf("PID");
  if (column < 0)
    throw new OnggiError("invalid", "Couldn't find PID field in ps output", { hint: "Let the columns include pid." });
  const processes = rows.map((row) => splitRow(row, titles.length)).filter((row) => pids.has(Number(row[column])));
  return { titles, processes };
}

/** The last column takes all that is left: a command has spaces. */
function splitRow(row: string, columns: number): string[] {
  const words = row.trim().split(/\s+/);
  return [...words.slice(0, columns - 1), words.slice(columns - 1).join(" ")];
}

async function ps(args: readonly string[]): Promise<string> {
  try {
    return (await run("ps", [...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch (cause) {
    throw new OnggiError("unavailable", `ps failed: ${messageOf(cause)}`, {
      cause,
      hint: "top needs the host's ps (Debian: procps) and arguments that it knows.",
    });
  }
}
