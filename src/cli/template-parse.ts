import { OnggiError } from "../base/error.ts";

/** A piece of a template: text, a value to print, or a control with the pieces it holds. */
export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipe: Pipe }
  | ({ readonly kind: "if" } & Control)
  | ({ readonly kind: "with" } & Control)
  | ({ readonly kind: "range" } & Control)
  | { readonly kind: "break" }
  | { readonly kind: "continue" };

interface Control {
  readonly pipe: Pipe;
  readonly body: readonly TemplateNode[];
  readonly otherwise: readonly TemplateNode[];
}

/** Commands joined by `|`; `declares` are the variables that take the result. */
export interface Pipe {
  readonly declares: readonly string[];
  readonly commands: readonly (readonly Operand[])[];
}

/** A word of a command, with the fields picked of it: `$x.A.B`, `(f 1).C`. */
export interface Operand {
  readonly head:
    | { readonly kind: "dot" }
    | { readonly kind: "variable"; readonly name: string }
    | { readonly kind: "function"; readonly name: string }
    | { readonly kind: "literal"; readonly value: unknown }
    | { readonly kind: "group"; readonly pipe: Pipe };
  readonly fields: readonly string[];
}

interface Reader {
  readonly tokens: readonly string[];
  at: number;
}

interface Piece {
  readonly kind: "text" | "action";
  readonly text: string;
}

/** Text to nodes; throws `invalid` for what isn't closed, opened or known. */
export function parseTemplate(text: string): readonly TemplateNode[] {
  const pieces = splitPieces(text);
  const cursor = { at: 0 };
  const { nodes, end } = parseBody(pieces, cursor);
  if (end !== undefined) throw failure(`unexpected {{${end}}}`);
  return nodes;
}

/** Cuts at `{{` and `}}`, honouring quotes, comments and the trim markers. */
function splitPieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  const action =
    /\{\{(- )?\s*(\/\*[\s\S]*?\*\/|(?:"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])*'|(?!\}\})[^"`'])*?)\s*( -)?\}\}/y;
  let rest = 0;
  let trimNext = false;
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", rest)) {
    action.lastIndex = open;
    const match = action.exec(text);
    if (match === null) throw failure("unclosed action");
    const [whole, trimBefore, inside = "", trimAfter] = match;
    pieces.push({ kind: "text", text: trimmed(text.slice(rest, open), trimNext, trimBefore !== undefined) });
    if (!inside.startsWith("/*")) pieces.push({ kind: "action", text: inside });
    rest = open + whole.length;
    trimNext = trimAfter !== undefined;
  }
  pieces.push({ kind: "text", text: trimmed(text.slice(rest), trimNext, false) });
  return pieces.filter(({ kind, text }) => kind === "action" || text !== "");
}

function trimmed(text: string, start: boolean, end: boolean): string {
  const left = start ? text.trimStart() : text;
  return end ? left.trimEnd() : left;
}

/** Nodes up to `end` or `else`, which is returned. */
function parseBody(
  pieces: readonly Piece[],
  cursor: { at: number },
): { nodes: TemplateNode[]; end: string | undefined } {
  const nodes: TemplateNode[] = [];
  for (let piece = pieces[cursor.at++]; piece !== undefined; piece = pieces[cursor.at++]) {
    if (piece.kind === "text") {
      nodes.push({ kind: "text", text: piece.text });
      continue;
    }
    const word = /^[a-z]+(?![\w.])/.exec(piece.text)?.[0] ?? "";
    if (word === "end" || word === "else") return { nodes, end: piece.text };
    if (word === "if" || word === "with" || word === "range") {
      nodes.push(parseControl(word, piece.text.slice(word.length), pieces, cursor));
    } else if (word === "break" || word === "continue") {
      nodes.push({ kind: word });
    } else if (word === "define" || word === "template" || word === "block") {
      throw failure(`{{${word}}} is not supported`);
    } else {
      nodes.push({ kind: "print", pipe: parseWholePipe(piece.text) });
    }
  }
  return { nodes, end: undefined };
}

function parseControl(
  kind: "if" | "with" | "range",
  text: string,
  pieces: readonly Piece[],
  cursor: { at: number },
): TemplateNode {
  const pipe = parseWholePipe(text);
  const { nodes: body, end } = parseBody(pieces, cursor);
  if (end === undefined) throw failure(`unexpected EOF: {{${kind}}} has no {{end}}`);
  const chained = /^else\s+(if|with)\b(.*)$/s.exec(end);
  if (chained?.[1] === "if" || chained?.[1] === "with") {
    return { kind, pipe, body, otherwise: [parseControl(chained[1], chained[2] ?? "", pieces, cursor)] };
  }
  if (end === "end") return { kind, pipe, body, otherwise: [] };
  const { nodes: otherwise, end: last } = parseBody(pieces, cursor);
  if (last !== "end") throw failure(`unexpected EOF: {{${kind}}} has no {{end}}`);
  return { kind, pipe, body, otherwise };
}

function parseWholePipe(text: string): Pipe {
  const reader = { tokens: tokenize(text), at: 0 };
  const pipe = parsePipe(reader);
  const left = reader.tokens[reader.at];
  if (left !== undefined) throw failure(`unexpected "${left}"`);
  return pipe;
}

function tokenize(text: string): string[] {
  const token =
    /\s+|"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])+'|:=|[|(),=]|\$\w*|[-+]?(?:0x[\da-fA-F]+|\d+(?:\.\d+)?(?:e[-+]?\d+)?)|\.[\p{L}_][\p{L}\d_]*|\.|[\p{L}_][\p{L}\d_]*/uy;
  const tokens: string[] = [];
  while (token.lastIndex < text.length) {
    const start = token.lastIndex;
    const match = token.exec(text);
    if (match === null) throw failure(`unexpected "${text.slice(start, start + 1)}" in "${text.trim()}"`);
    // A blank parts `.A .B` from `.A.B`, so it stays as a token.
    tokens.push(match[0].trim() === "" ? " " : match[0]);
  }
  return tokens;
}

function parsePipe(reader: Reader): Pipe {
  const declares = parseDeclarations(reader);
  const commands: Operand[][] = [];
  do {
    const command: Operand[] = [];
    skipBlank(reader);
    for (
      let next = reader.tokens[reader.at];
      next !== undefined && next !== "|" && next !== ")";
      next = reader.tokens[reader.at]
    ) {
      command.push(parseOperand(reader));
      skipBlank(reader);
    }
    if (command.length === 0) throw failure("missing value for command");
    commands.push(command);
  } while (accept(reader, "|"));
  return { declares, commands };
}

/** `$i, $x :=` or `$x =`, when the pipe begins so. */
function parseDeclarations(reader: Reader): string[] {
  const rest = reader.tokens.slice(reader.at).filter((token) => token !== " ");
  const mark = rest.findIndex((token) => token === ":=" || token === "=");
  if (mark < 0 || !rest.slice(0, mark).every((token) => token.startsWith("$") || token === ",")) return [];
  while (!accept(reader, ":=") && !accept(reader, "=")) reader.at++;
  return rest.slice(0, mark).filter((token) => token !== ",");
}

function parseOperand(reader: Reader): Operand {
  const token = reader.tokens[reader.at++] ?? "";
  const fields: string[] = [];
  const head = parseHead(token, reader, fields);
  for (
    let next = reader.tokens[reader.at];
    next !== undefined && /^\.\p{L}|^\._/u.test(next);
    next = reader.tokens[reader.at]
  ) {
    fields.push(next.slice(1));
    reader.at++;
  }
  return { head, fields };
}

function parseHead(token: string, reader: Reader, fields: string[]): Operand["head"] {
  if (token === ".") return { kind: "dot" };
  if (token.startsWith(".")) {
    fields.push(token.slice(1));
    return { kind: "dot" };
  }
  if (token.startsWith("$")) return { kind: "variable", name: token };
  if (token === "(") {
    const pipe = parsePipe(reader);
    if (!accept(reader, ")")) throw failure("unclosed left paren");
    return { kind: "group", pipe };
  }
  if (token.startsWith('"') || token.startsWith("'")) return { kind: "literal", value: unquote(token) };
  if (token.startsWith("`")) return { kind: "literal", value: token.slice(1, -1) };
  if (/^[-+]?\d/.test(token)) return { kind: "literal", value: Number(token) };
  if (token === "true" || token === "false") return { kind: "literal", value: token === "true" };
  if (token === "nil") return { kind: "literal", value: null };
  if (/^[\p{L}_]/u.test(token)) return { kind: "function", name: token };
  throw failure(`unexpected "${token}" in command`);
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unquote(token: string): string | number {
  const text = token
    .slice(1, -1)
    .replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|(.))/g, (_, hex, unicode, letter) =>
      letter === undefined ? String.fromCodePoint(Number.parseInt(hex ?? unicode, 16)) : (escapes[letter] ?? letter),
    );
  return token.startsWith("'") ? (text.codePointAt(0) ?? 0) : text;
}

function accept(reader: Reader, token: string): boolean {
  skipBlank(reader);
  if (reader.tokens[reader.at] !== token) return false;
  reader.at++;
  return true;
}

function skipBlank(reader: Reader): void {
  while (reader.tokens[reader.at] === " ") reader.at++;
}

function failure(message: string): OnggiError {
  return new OnggiError("invalid", `template: :1: ${message}`);
}
