/** Tables of measured times. Rows that are paired run in turns, so that a noisy machine is noisy for both. */

export interface RowOptions {
  /** How often it is measured; 50 unless told. A paired row is measured as often as its partner. */
  readonly n?: number;
  /** Name of the row that this one is compared with: the table shows this row's p50 as a multiple of the other's. */
  readonly pairedWith?: string;
  /** Runs before the first measured one; 2 unless told. */
  readonly warmUps?: number;
}

/** Does the thing once. Returns nothing, and its duration is taken; or a number, which is the measured value itself. */
export type Measure = () => void | number | Promise<void> | Promise<number>;

export interface Table {
  /** Adds a row; rows are measured in the order they were added. */
  row(name: string, measure: Measure, options?: RowOptions): void;
  /** Names what can't be measured here, and why. */
  missing(name: string, reason: string): void;
}

export interface TableDefinition {
  /** The heading, and the name of the markers in docs/performance.md. */
  readonly title: string;
  /** `ms` unless told; rows that return numbers say what they are. */
  readonly unit?: string;
  /** Adds the rows; may prepare, and return what clears up afterwards. */
  define(table: Table): void | (() => void | Promise<void>) | Promise<void | (() => void | Promise<void>)>;
}

/** What a file `*.bench.ts` exports by default, one or a list. */
export function table(definition: TableDefinition): TableDefinition {
  return definition;
}

interface Row {
  readonly name: string;
  readonly measure: Measure;
  readonly options: RowOptions;
}

/** One line of the finished table. */
export interface Result {
  readonly name: string;
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly min: number;
  /** p50 of this row over p50 of the row it is paired with, and that row's name. */
  readonly ratio?: { readonly to: string; readonly factor: number };
}

export interface MeasuredTable {
  readonly title: string;
  readonly unit: string;
  readonly results: readonly Result[];
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

/** Defines, measures, clears up. */
export async function measureTable(definition: TableDefinition): Promise<MeasuredTable> {
  const rows: Row[] = [];
  const missing: { name: string; reason: string }[] = [];
  const clearUp = await definition.define({
    row: (name, measure, options = {}) => rows.push({ name, measure, options }),
    missing: (name, reason) => missing.push({ name, reason }),
  });
  try {
    const samples = new Map<string, number[]>();
    for (const group of pairedGroups(rows)) await measureGroup(group, samples);
    return {
      title: definition.title,
      unit: definition.unit ?? "ms",
      results: rows.map((row) => resultOf(row, samples)),
      missing,
    };
  } finally {
    await clearUp?.();
  }
}

/** Rows that hang together by `pairedWith`, in the order of their first rows. */
export function pairedGroups<T extends { readonly name: string; readonly options: RowOptions }>(
  rows: readonly T[],
): T[][] {
  const groups: T[][] = [];
  for (const row of rows) {
    const { pairedWith } = row.options;
    const group =
      pairedWith === undefined ? undefined : groups.find((rows) => rows.some((other) => other.name === pairedWith));
    if (pairedWith !== undefined && group === undefined)
      throw new Error(`row "${row.name}" is paired with "${pairedWith}", which no row before it is`);
    if (group === undefined) groups.push([row]);
    else group.push(row);
  }
  return groups;
}

async function measureGroup(group: readonly Row[], samples: Map<string, number[]>): Promise<void> {
  const n = group[0]?.options.n ?? 50;
  for (const { measure, options } of group) for (let i = 0; i < (options.warmUps ?? 2); i++) await measure();
  for (let i = 0; i < n; i++) {
    // Each turn starts with another row, so that none is always the one after the slow one.
    for (let k = 0; k < group.length; k++) {
      const row = group[(i + k) % group.length];
      if (row === undefined) continue;
      const list = samples.get(row.name) ?? [];
      list.push(await sample(row.measure));
      samples.set(row.name, list);
    }
  }
}

async function sample(measure: Measure): Promise<number> {
  const start = performance.now();
  const value = await measure();
  return value ?? performance.now() - start;
}

function resultOf({ name, options }: Row, samples: ReadonlyMap<string, readonly number[]>): Result {
  const own = samples.get(name) ?? [];
  const p50 = quantile(own, 0.5);
  const { pairedWith } = options;
  const other = pairedWith === undefined ? undefined : samples.get(pairedWith);
  return {
    name,
    n: own.length,
    p50,
    p90: quantile(own, 0.9),
    min: quantile(own, 0),
    ...(pairedWith !== undefined &&
      other !== undefined && { ratio: { to: pairedWith, factor: p50 / quantile(other, 0.5) } }),
  };
}

/** The nearest-rank quantile; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
