import type { StorageProblemBody } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";

export const systemCheck = command({
  name: "check",
  summary: "Look for what is broken on the disk or belongs to nobody",
  args: "",
  arity: [0, 0],
  details: [
    "Compares records with what is there: trees, layers, blobs, containers' folders, cgroups, addresses, and the counts",
    "of what stands on what. It takes a moment; with --deep all data is read and compared with its digests.",
    "Each problem is printed as a sentence, with what mends it. With --repair that is done where it loses nothing that",
    "could still be used. The exit status is 1 when a problem is left.",
  ].join("\n"),
  flags: {
    deep: flag.switch({ help: "Read all data and compare it with its digests" }),
    format: flag.string({ help: "Print each problem as 'json'" }),
    quiet: flag.switch({ short: "q", help: "Print nothing" }),
    repair: flag.switch({ help: "Mend what can be mended" }),
  },
  async run({ client, flags: { deep, format, quiet, repair }, print }) {
    const counts = { found: 0, repaired: 0, left: 0 };
    const problems = client.lines<StorageProblemBody>({
      method: "POST",
      path: "/onggi/v1/storage/check",
      query: { deep: deep || undefined, repair: repair || undefined },
    });
    for await (const problem of problems) {
      counts.found++;
      if (problem.State === "repaired") counts.repaired++;
      else counts.left++;
      if (!quiet) print(format === "json" ? JSON.stringify(problem) : problemText(problem));
    }
    if (!quiet && format !== "json") print(verdict(counts));
    return counts.left > 0 ? 1 : 0;
  },
});

/** What is wrong, and what has been or can be done. */
function problemText({ Subject, Problem, Remedy, State, Error: error }: StorageProblemBody): string {
  const done = State === "repaired" ? "Repaired" : State === "found" ? "Remedy" : "Not repaired";
  const why = error === undefined ? "" : ` (${error})`;
  return `${Subject}: ${Problem}\n  ${done}: ${Remedy}${why}`;
}

function verdict({
  found,
  repaired,
  left,
}: {
  readonly found: number;
  readonly repaired: number;
  readonly left: number;
}) {
  if (found === 0) return "No problems found.";
  const all = `${found} problem${found === 1 ? "" : "s"} found`;
  return repaired === 0 && left === found ? `${all}.` : `${all}, ${repaired} repaired, ${left} left.`;
}
