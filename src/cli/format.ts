import { layOut } from "./table.ts";
import { compileTemplate } from "./template.ts";

/** A field of a list: its column's title and its value, a method where the template gives it arguments. */
export interface Column<T> {
  readonly header: string;
  readonly value: (item: T) => unknown;
}

export type Columns<T> = Readonly<Record<string, Column<T>>>;

export interface ListFormat<T> {
  readonly columns: Columns<T>;
  /** The template of the plain table. */
  readonly table: string;
  /** Fields that `json` leaves out. */
  readonly notInJson?: readonly string[];
}

/**
 * Prints a list as `--format` says: nothing or `table` for a table, `table TEMPLATE`, `json`, or a template for each item.
 *
 * @param methods - fields that take arguments, such as `.Label "name"`
 */
export function formatList<T>(
  items: readonly T[],
  format: string,
  list: ListFormat<T>,
  methods: Readonly<Record<string, (item: T) => (...args: readonly string[]) => string>> = {},
): string[] {
  if (format === "json") {
    return items.map((item) => goJson(jsonFields(item, list)));
  }
  const isTable = format === "" || format.startsWith("table");
  const text = !isTable ? format : format.slice("table".length).trim() || list.table;
  const fill = compileTemplate(unescaped(text));
  const rows = items.map((item) => fill(fieldsOf(item, list, methods)));
  if (!isTable) return rows.flatMap((row) => row.split("\n"));
  const header = fill({
    ...Object.fromEntries(Object.entries(list.columns).map(([name, column]) => [name, column.header])),
    ...Object.fromEntries(Object.keys(methods).map((name) => [name, methodHeader])),
  });
  return layOut([header, ...rows].flatMap((row) => row.split("\n")).map((row) => row.split("\t")));
}

/** Whether a template shows a field, so that what costs time is asked for only then. */
export function usesField(format: string, field: string): boolean {
  return new RegExp(`\\.${field}\\b`).test(format);
}

/** `\t` and `\n` may be written in the shell's single quotes. */
export function unescaped(text: string): string {
  return text.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

/** Fields are computed when the template asks for them. */
function fieldsOf<T>(item: T, { columns }: ListFormat<T>, methods: Parameters<typeof formatList<T>>[3] = {}): object {
  const fields = {};
  for (const [name, { value }] of Object.entries(columns)) {
    Object.defineProperty(fields, name, { enumerable: true, get: () => value(item) });
  }
  for (const [name, method] of Object.entries(methods)) Object.defineProperty(fields, name, { value: method(item) });
  return fields;
}

function jsonFields<T>(item: T, { columns, notInJson = [] }: ListFormat<T>): object {
  const names = Object.keys(columns).filter((name) => !notInJson.includes(name));
  return Object.fromEntries(names.sort().map((name) => [name, columns[name]?.value(item)]));
}

/** JSON as Go writes it, fit to stand in HTML. */
function goJson(value: unknown): string {
  const escaped: Readonly<Record<string, string>> = { "<": "\\u003c", ">": "\\u003e", "&": "\\u0026" };
  return JSON.stringify(value).replace(/[<>&]/g, (letter) => escaped[letter] ?? letter);
}

/** `.Label "com.example.build-date"` stands under `build date`. */
function methodHeader(name: string): string {
  return (name.split(".").at(-1) ?? "").replace(/[-_]/g, " ");
}
