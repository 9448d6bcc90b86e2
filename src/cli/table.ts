const padding = 3;
const leastWidth = 10;

/**
 * Sets rows of cells under each other, as Docker does: columns at least ten wide, three blanks between, none at the end.
 *
 * @returns one line a row
 */
export function layOut(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    // The last cell of a row is no column: nothing stands behind it.
    for (const [index, cell] of row.slice(0, -1).entries()) {
      widths[index] = Math.max(widths[index] ?? leastWidth, [...cell].length + padding);
    }
  }
  return rows.map((row) =>
    row
      .map((cell, index) =>
        index === row.length - 1 ? cell : cell + " ".repeat((widths[index] ?? 0) - [...cell].length),
      )
      .join(""),
  );
}
