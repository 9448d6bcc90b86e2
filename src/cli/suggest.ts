import { commands, groups } from "./catalog.ts";

/** The commands that a misspelt one may have meant; `path` is `imges` or `image lss`. */
export function nearestCommands(path: string): readonly string[] {
  const [first = "", second] = path.split(" ");
  const group = groups[first];
  const names =
    second === undefined || group === undefined
      ? [...Object.keys(commands), ...Object.keys(groups), "help"]
      : Object.keys(group.commands);
  const word = second ?? first;
  const near = names
    .map((name) => ({ name, distance: distance(word, name) }))
    .filter((one) => one.distance <= Math.max(1, word.length / 3));
  const least = Math.min(...near.map((one) => one.distance));
  return near.filter((one) => one.distance === least).map(({ name }) => name);
}

/** How many letters must be added, taken away, changed or swapped with their neighbour. */
export function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (beforeLast[j - 2] ?? Infinity) + 1 : Infinity;
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost, swapped));
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
