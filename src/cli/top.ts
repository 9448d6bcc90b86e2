import type { TopResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";

export const top = command({
  name: "top",
  summary: "Display the running processes of a container",
  args: "CONTAINER [ps OPTIONS]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {},
  stopEarly: true,
  async run({ client, args: [key = "", ...psOptions], print }) {
    const { Titles, Processes } = await client.json<TopResponse>({
      method: "GET",
      path: containerPath(key, "top"),
      query: { ps_args: psOptions.length > 0 ? psOptions.join(" ") : undefined },
    });
    for (const line of columns([Titles, ...Processes])) print(line);
    return 0;
  },
});

/** At least twenty wide, three blanks between: wider than the lists', as Docker has it here. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const width = (index: number) => Math.max(20, ...rows.map((row) => (row[index] ?? "").length + 3));
  return rows.map((row) =>
    row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(width(index)))).join(""),
  );
}
