import type { TestEvent } from "node:test/reporters";

/** What a run of tests came to; written as one line of JSON when it ends. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** `name: reason`, one for each test that was skipped or is still to do. */
  readonly skipped: readonly string[];
}

/** A reporter for `node --test` that only counts. Suites aren't counted, what is in them is. */
export default async function* countReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  const skipped: string[] = [];
  let passed = 0;
  let failed = 0;
  for await (const event of events) {
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { name, skip, todo, details } = event.data;
    const reason = skip ?? todo;
    if (reason !== undefined && reason !== false)
      skipped.push(typeof reason === "string" ? `${name}: ${reason}` : name);
    else if (event.type === "test:fail") failed += isOwnFailure(details) ? 1 : 0;
    else if (details.type !== "suite") passed++;
  }
  yield `${JSON.stringify({ passed, failed, skipped } satisfies Counts)}\n`;
}

/** False for a suite that failed only because a test in it did. */
function isOwnFailure(details: { readonly type?: string | undefined; readonly error?: unknown }): boolean {
  const { failureType } = (details.error ?? {}) as { failureType?: string };
  return failureType !== "subtestsFailed";
}
