/**
 * Holds src/ against the table in `.dependency-cruiser.mjs`.
 *
 * A checker that looked at nothing finds nothing, so that every source file must be among those it looked at.
 */
import { globSync } from "node:fs";
import { join } from "node:path";
import { cruise, type ICruiseOptions, type ICruiseResult, type IForbiddenRuleType } from "dependency-cruiser";
import { teachUsing } from "./swc-using.ts";

export interface ImportReport {
  /** How many files of src/ were looked at. */
  readonly modules: number;
  /** One sentence each, empty when all is well. */
  readonly problems: readonly string[];
}

teachUsing();

/** Checks the tree below `root`, which holds `src/`. */
export async function checkImports(root: string): Promise<ImportReport> {
  const { default: config } = (await import(join(import.meta.dirname, "../.dependency-cruiser.mjs"))) as {
    default: { forbidden: IForbiddenRuleType[]; options: ICruiseOptions };
  };
  const { forbidden, options } = config;
  const { output } = await cruise(["src"], { ...options, baseDir: root, validate: true, ruleSet: { forbidden } });
  const { modules, summary } = output as ICruiseResult;

  const seen = new Set(modules.map((module) => module.source));
  const unseen = globSync("src/**/*.ts", { cwd: root }).filter((path) => !seen.has(path));
  const sources = modules.filter((module) => module.source.startsWith("src/"));
  return {
    modules: sources.length,
    problems: [
      ...(sources.length === 0 ? ["no module was looked at"] : []),
      ...unseen.map((path) => `${path} was not looked at`),
      ...summary.violations.map(
        ({ from, to, rule, comment }) => `${from} → ${to}: ${rule.name}${comment ? `, ${comment}` : ""}`,
      ),
    ],
  };
}

if (import.meta.main) {
  const { modules, problems } = await checkImports(join(import.meta.dirname, ".."));
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(`${modules} modules looked at, ${problems.length} problems\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
