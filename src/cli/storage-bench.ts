import type { StorageBenchRequest, StorageMeasureBody } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { binarySize } from "./humanize.ts";
import { layOut } from "./table.ts";

export const storageBench = command({
  name: "bench",
  summary: "Measure what each storage driver's way of writing costs on this machine",
  args: "[DRIVER...]",
  arity: [0, Number.POSITIVE_INFINITY],
  flags: {
    large: flag.bytes({ help: "Size of the large file of a layer that is written to (default 256M)" }),
    json: flag.switch({ help: "Print a line of JSON a value, for charts" }),
  },
  details: [
    "All drivers that can work here, unless some are named. What is made for it lies in the data root and goes again.",
    "For minutes after many files were deleted ext4 makes new ones slowly: compare drivers with each other, in one run.",
  ].join("\n"),
  async run({ client, args, flags, io, print }) {
    const body: StorageBenchRequest = {
      ...(args.length === 0 ? {} : { Drivers: args }),
      ...(flags.large === undefined ? {} : { LargeBytes: flags.large }),
    };
    const measures: StorageMeasureBody[] = [];
    const lines = client.lines<StorageMeasureBody>({ method: "POST", path: "/onggi/v1/storage/bench", body });
    for await (const measure of lines) {
      if (flags.json) print(JSON.stringify(measure));
      else if (io.stderr.isTTY === true && measure.Driver !== measures.at(-1)?.Driver)
        io.stderr.write(`onggi: measuring ${measure.Driver}\n`);
      measures.push(measure);
    }
    if (!flags.json) for (const line of storageBenchTable(measures)) print(line);
    return measures.some(({ Value }) => Value !== null) ? 0 : 1;
  },
});

/** A row a measure and number of layers, a column a driver; below, who couldn't be measured, and why. */
export function storageBenchTable(measures: readonly StorageMeasureBody[]): string[] {
  const measured = measures.filter(({ Value }) => Value !== null);
  const drivers = [...new Set(measured.map(({ Driver }) => Driver))];
  const rows = new Map<string, { readonly title: string; readonly cells: Map<string, string> }>();
  for (const { Measure, Layers, Title, Driver, Value, Unit } of measured) {
    const byLayers = Measure === "found" || Measure === "missing" || Measure === "create" || Measure === "delete";
    const title = byLayers ? `${Title} (${Layers === 1 ? "1 layer" : `${Layers} layers`})` : Title;
    const row = rows.get(`${Measure} ${Layers}`) ?? { title, cells: new Map<string, string>() };
    row.cells.set(Driver, amount(Value ?? 0, Unit));
    rows.set(`${Measure} ${Layers}`, row);
  }
  const table = [...rows.values()].map(({ title, cells }) => [title, ...drivers.map((name) => cells.get(name) ?? "-")]);
  const missing = measures
    .filter(({ Value }) => Value === null)
    .map(({ Driver, Reason = "" }) => `${Driver} wasn't measured: ${Reason}`);
  return [...(table.length === 0 ? [] : layOut([["WHAT", ...drivers], ...table])), ...missing];
}

function amount(value: number, unit: StorageMeasureBody["Unit"]): string {
  if (unit === "bytes") return binarySize(value);
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ${unit}`;
}
