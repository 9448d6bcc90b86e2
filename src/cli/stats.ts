import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInspect, ContainerSummary, StatsBody } from "../api/wire.ts";
import { DaemonError } from "./client.ts";
import { type Context, command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { flag } from "./flag.ts";
import { formatList } from "./format.ts";
import { shortId } from "./humanize.ts";
import { write } from "./io.ts";
import { type StatsRow, statsList } from "./stats-row.ts";

const flags = {
  all: flag.switch({ short: "a", help: "Show all containers (default shows just running)" }),
  format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
  noStream: flag.switch({ help: "Print the first result and end" }),
  noTrunc: flag.switch({ help: "Don't shorten output" }),
};

type StatsContext = Context<typeof flags>;

const refreshMs = 500;
const relistMs = 1000;

export const stats = command({
  name: "stats",
  summary: "Show a live stream of containers' use of resources",
  args: "[CONTAINER...]",
  arity: [0, Number.POSITIVE_INFINITY],
  flags,
  async run(context) {
    return context.flags.noStream ? await showOnce(context) : await showLive(context);
  },
});

async function showOnce(context: StatsContext): Promise<number> {
  const rows = await Promise.all(
    (await listRows(context)).map(async (row) => {
      if (row.sample !== undefined) return row;
      const sample = await oneSample(context, row.id);
      return { ...row, sample };
    }),
  );
  for (const line of lines(context, rows)) context.print(line);
  return 0;
}

/** Asks for the stream's first pair, which the daemon measures for a second. */
async function oneSample({ client }: StatsContext, id: string): Promise<StatsBody | undefined> {
  try {
    const sample = await client.json<StatsBody>({
      method: "GET",
      path: containerPath(id, "stats"),
      query: { stream: false },
    });
    return wasRunning(sample) ? sample : undefined;
  } catch (error) {
    // It was removed meanwhile.
    if (error instanceof DaemonError && error.status === 404) return undefined;
    throw error;
  }
}

function wasRunning(sample: StatsBody): boolean {
  return !sample.read.startsWith("0001-");
}

/** Keeps one stream open for each container, and draws what they last said. */
async function showLive(context: StatsContext): Promise<number> {
  const samples = new Map<string, StatsBody>();
  const open = new Set<string>();
  let rows = await listRows(context);
  if (context.io.stdout.isTTY === true) await write(context.io.stdout, "\x1b[2J");
  let listedAt = performance.now();
  for (;;) {
    for (const { id } of rows) {
      if (open.has(id)) continue;
      open.add(id);
      void follow(context, id, samples).finally(() => {
        open.delete(id);
        samples.delete(id);
      });
    }
    await sleep(refreshMs);
    await draw(
      context,
      rows.map((row) => ({ ...row, sample: samples.get(row.id) })),
    );
    if (context.args.length === 0 && performance.now() - listedAt >= relistMs) {
      rows = await listRows(context);
      listedAt = performance.now();
    } else if (context.args.length > 0 && rows.every(({ id }) => !open.has(id))) {
      return 0;
    }
  }
}

async function follow({ client }: StatsContext, id: string, samples: Map<string, StatsBody>): Promise<void> {
  try {
    const stream = client.lines<StatsBody>({
      method: "GET",
      path: containerPath(id, "stats"),
      query: { stream: true },
    });
    for await (const sample of stream) {
      if (wasRunning(sample)) samples.set(id, sample);
      else samples.delete(id);
    }
  } catch {
    // It ended or was removed: its row shows dashes until the list is read again.
  }
}

/** Writes over what was drawn before; elsewhere than on a terminal, below it. */
async function draw(context: StatsContext, rows: readonly StatsRow[]): Promise<void> {
  const text = lines(context, rows);
  if (context.io.stdout.isTTY !== true) await write(context.io.stdout, `${text.join("\n")}\n`);
  else await write(context.io.stdout, `\x1b[H${text.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
}

function lines({ flags: { format = "", noTrunc } }: StatsContext, rows: readonly StatsRow[]): string[] {
  return formatList(rows, format, statsList({ trunc: !noTrunc }));
}

async function listRows({ client, args, flags: { all } }: StatsContext): Promise<readonly StatsRow[]> {
  if (args.length > 0) {
    const found = await Promise.all(
      args.map((key) => client.json<ContainerInspect>({ method: "GET", path: containerPath(key, "json") })),
    );
    return found.map(({ Id, Name }, index) => ({
      key: args[index] ?? Id,
      id: Id,
      name: Name.replace(/^\//, ""),
      sample: undefined,
    }));
  }
  const found = await client.json<readonly ContainerSummary[]>({
    method: "GET",
    path: "/containers/json",
    query: { all: all || undefined },
  });
  return found.map(({ Id, Names }) => ({
    key: shortId(Id),
    id: Id,
    name: (Names[0] ?? "").replace(/^\//, ""),
    sample: undefined,
  }));
}
