import { OnggiError } from "../base/error.ts";
import { callFunction, isTrue, printed } from "./template-functions.ts";
import type { Operand, Pipe, TemplateNode } from "./template-parse.ts";

/** Objects under these names are maps in Docker's API: a key that isn't there is a missing value, not a mistake. */
const maps = new Set(
  "Labels Annotations Options Ports Networks Volumes ExposedPorts PortBindings Sysctls Tmpfs StorageOpt Config Data".split(
    " ",
  ),
);

/** Ends a loop early. */
class LoopEnd {
  readonly kind: "break" | "continue";
  constructor(kind: "break" | "continue") {
    this.kind = kind;
  }
}

interface Scope {
  readonly dot: unknown;
  readonly variables: Map<string, { value: unknown }>;
}

/** Fills the data into a parsed template. */
export function evaluate(nodes: readonly TemplateNode[], data: unknown): string {
  return walk(nodes, { dot: data, variables: new Map([["$", { value: data }]]) });
}

function walk(nodes: readonly TemplateNode[], outer: Scope): string {
  const scope = { ...outer, variables: new Map(outer.variables) };
  let text = "";
  for (const node of nodes) {
    try {
      text += step(node, scope);
    } catch (end) {
      if (end instanceof LoopEndWithText) throw new LoopEndWithText(end.kind, text + end.text);
      if (end instanceof LoopEnd) throw new LoopEndWithText(end.kind, text);
      throw end;
    }
  }
  return text;
}

/** What the pieces before a `break` had printed. */
class LoopEndWithText extends LoopEnd {
  readonly text: string;
  constructor(kind: "break" | "continue", text: string) {
    super(kind);
    this.text = text;
  }
}

function step(node: TemplateNode, scope: Scope): string {
  if (node.kind === "text") return node.text;
  if (node.kind === "break" || node.kind === "continue") throw new LoopEnd(node.kind);
  if (node.kind === "print") {
    const value = run(node.pipe, scope);
    return node.pipe.declares.length > 0 ? "" : printed(value);
  }
  const inner = { ...scope, variables: new Map(scope.variables) };
  if (node.kind === "range") return loop(node, inner);
  const value = run(node.pipe, inner);
  if (!isTrue(value)) return walk(node.otherwise, inner);
  return walk(node.body, node.kind === "with" ? { ...inner, dot: value } : inner);
}

function loop(node: Extract<TemplateNode, { kind: "range" }>, scope: Scope): string {
  const entries = entriesOf(run({ ...node.pipe, declares: [] }, scope));
  if (entries.length === 0) return walk(node.otherwise, scope);
  let text = "";
  for (const [key, value] of entries) {
    const names = node.pipe.declares.length === 1 ? [undefined, node.pipe.declares[0]] : node.pipe.declares;
    if (names[0] !== undefined) scope.variables.set(names[0], { value: key });
    if (names[1] !== undefined) scope.variables.set(names[1], { value });
    try {
      text += walk(node.body, { ...scope, dot: value });
    } catch (end) {
      if (!(end instanceof LoopEndWithText)) throw end;
      text += end.text;
      if (end.kind === "break") break;
    }
  }
  return text;
}

function entriesOf(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  if (typeof value === "number") return Array.from({ length: value }, (_, index) => [index, index]);
  if (typeof value === "object") return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  throw new OnggiError("invalid", `template: range can't iterate over ${printed(value)}`);
}

function run(pipe: Pipe, scope: Scope): unknown {
  let value: unknown;
  let piped: unknown[] = [];
  for (const command of pipe.commands) {
    value = runCommand(command, piped, scope);
    piped = [value];
  }
  for (const name of pipe.declares) {
    const known = scope.variables.get(name);
    if (known === undefined) scope.variables.set(name, { value });
    else known.value = value;
  }
  return value;
}

function runCommand(command: readonly Operand[], piped: readonly unknown[], scope: Scope): unknown {
  const [first, ...rest] = command;
  if (first === undefined) return undefined;
  if (first.head.kind === "function") {
    const { name } = first.head;
    // `and` and `or` look no further than they must.
    const lazy = [...rest.map((operand) => () => read(operand, scope)), ...piped.map((value) => () => value)];
    return pick(callFunction(name, lazy), first.fields, name);
  }
  return read(first, scope, [...rest.map((operand) => read(operand, scope)), ...piped]);
}

/** The value of one word; `args` are handed to the method that its last field may name. */
function read(operand: Operand, scope: Scope, args: readonly unknown[] = []): unknown {
  const { head, fields } = operand;
  switch (head.kind) {
    case "dot":
      return pick(scope.dot, fields, "", args);
    case "literal":
      return head.value;
    case "group":
      return pick(run(head.pipe, scope), fields, "", args);
    case "function":
      return pick(callFunction(head.name, []), fields, head.name, args);
    case "variable": {
      const variable = scope.variables.get(head.name);
      if (variable === undefined) throw new OnggiError("invalid", `template: :1: undefined variable "${head.name}"`);
      return pick(variable.value, fields, head.name, args);
    }
  }
}

function pick(start: unknown, fields: readonly string[], path: string, args: readonly unknown[] = []): unknown {
  let value = start;
  let walked = path;
  for (const [index, field] of fields.entries()) {
    const parent = fields[index - 1] ?? "";
    value = member(value, field, `${walked}.${field}`, maps.has(parent));
    walked = `${walked}.${field}`;
  }
  return typeof value === "function" ? value(...args) : value;
}

function member(value: unknown, field: string, path: string, inMap: boolean): unknown {
  if (value === undefined || value === null) {
    if (inMap) return undefined;
    throw new OnggiError("invalid", `template: :1:2: executing "" at <${path}>: nil data; no entry for key "${field}"`);
  }
  if (typeof value === "object" && !Array.isArray(value)) {
    const spellings = field === "ID" ? ["ID", "Id"] : field === "Id" ? ["Id", "ID"] : [field];
    const key = spellings.find((name) => Object.hasOwn(value, name));
    if (key !== undefined) return Reflect.get(value, key);
    if (inMap) return undefined;
    throw new OnggiError("invalid", `template: :1:2: executing "" at <${path}>: map has no entry for key "${field}"`);
  }
  throw new OnggiError(
    "invalid",
    `template: :1:2: executing "" at <${path}>: can't evaluate field ${field} in ${printed(value)}`,
  );
}
