/** Lines around a change that are shown, too. */
const contextLines = 3;
/** Beyond so many differing lines the shortest way isn't sought: all in between is replaced. */
const maxEdits = 1000;

interface Edit {
  readonly kind: " " | "-" | "+";
  readonly line: string;
  /** Index of the line in the old and in the new text, where it is or would be. */
  readonly old: number;
  readonly now: number;
}

/**
 * What turns one text into another, as `diff -u` writes it; "" where they are the same.
 *
 * @param from - the name of the old text, and `to` of the new: `/dev/null` for none
 */
export function unifiedDiff(from: string, to: string, before: string, after: string): string {
  if (before === after) return "";
  const edits = editsOf(lines(before), lines(after));
  return `--- ${quoted(from)}\n+++ ${quoted(to)}\n${hunks(edits).map(hunkText).join("")}`;
}

/** Each with its end, so that a missing one at the end counts as a difference. */
function lines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function editsOf(old: readonly string[], now: readonly string[]): Edit[] {
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const same = (from: number, count: number, shift: number): Edit[] =>
    old
      .slice(from, from + count)
      .map((line, index) => ({ kind: " ", line, old: from + index, now: from + index + shift }));
  return [
    ...same(0, start, 0),
    ...shortest(old.slice(start, old.length - end), now.slice(start, now.length - end)).map((edit) => ({
      ...edit,
      old: edit.old + start,
      now: edit.now + start,
    })),
    ...same(old.length - end, end, now.length - old.length),
  ];
}

/**
 * The shortest way from one list to another.
 *
 * @see Eugene W. Myers, An O(ND) Difference Algorithm and Its Variations (1986)
 */
function shortest(old: readonly string[], now: readonly string[]): Edit[] {
  const reach = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  const far = (diagonal: number, from = reach) => from.get(diagonal) ?? -1;
  for (let edits = 0; edits <= Math.min(old.length + now.length, maxEdits); edits++) {
    trace.push(new Map(reach));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const isDown = diagonal === -edits || (diagonal !== edits && far(diagonal - 1) < far(diagonal + 1));
      let x = isDown ? far(diagonal + 1) : far(diagonal - 1) + 1;
      while (x < old.length && x - diagonal < now.length && old[x] === now[x - diagonal]) x++;
      reach.set(diagonal, x);
      if (x >= old.length && x - diagonal >= now.length) return wayBack(old, now, trace);
    }
  }
  return [
    ...old.map((line, index): Edit => ({ kind: "-", line, old: index, now: 0 })),
    ...now.map((line, index): Edit => ({ kind: "+", line, old: old.length, now: index })),
  ];
}

function wayBack(old: readonly string[], now: readonly string[], trace: readonly Map<number, number>[]): Edit[] {
  const way: Edit[] = [];
  let [x, y] = [old.length, now.length];
  const keep = () => {
    x--;
    y--;
    way.push({ kind: " ", line: old[x] ?? "", old: x, now: y });
  };
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const far = (diagonal: number) => trace[edits]?.get(diagonal) ?? -1;
    const diagonal = x - y;
    const isDown = diagonal === -edits || (diagonal !== edits && far(diagonal - 1) < far(diagonal + 1));
    const before = isDown ? diagonal + 1 : diagonal - 1;
    const [fromX, fromY] = [far(before), far(before) - before];
    while (x > fromX && y > fromY && x > 0 && y > 0) keep();
    if (edits === 0) break;
    if (isDown) {
      y--;
      way.push({ kind: "+", line: now[y] ?? "", old: x, now: y });
    } else {
      x--;
      way.push({ kind: "-", line: old[x] ?? "", old: x, now: y });
    }
  }
  return way.reverse();
}

/** Changes that are close to each other, with what is around them. */
function hunks(edits: readonly Edit[]): Edit[][] {
  const found: { from: number; to: number }[] = [];
  edits.forEach(({ kind }, index) => {
    if (kind === " ") return;
    const last = found.at(-1);
    if (last !== undefined && index - last.to <= 2 * contextLines) last.to = index + 1;
    else found.push({ from: index, to: index + 1 });
  });
  return found.map(({ from, to }) => edits.slice(Math.max(0, from - contextLines), to + contextLines));
}

function hunkText(hunk: readonly Edit[]): string {
  const [first] = hunk;
  const count = (not: Edit["kind"]) => hunk.filter(({ kind }) => kind !== not).length;
  const body = hunk.map(({ kind, line }) =>
    line.endsWith("\n") ? `${kind}${line}` : `${kind}${line}\n\\ No newline at end of file\n`,
  );
  return `@@ -${range(first?.old ?? 0, count("+"))} +${range(first?.now ?? 0, count("-"))} @@\n${body.join("")}`;
}

function range(index: number, count: number): string {
  const start = count === 0 ? index : index + 1;
  return count === 1 ? String(start) : `${start},${count}`;
}

/** A name that could be taken for something else, as git writes it. */
function quoted(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return /[\x00-\x1f"\\]/.test(name) ? JSON.stringify(name) : name;
}
