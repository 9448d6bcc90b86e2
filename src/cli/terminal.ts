import type { Input, Output } from "./io.ts";

/**
 * Hands every key to the container: no echo, no lines, no signals by key.
 *
 * @returns puts the terminal back; it also goes back when the process ends in another way
 */
export function makeRaw(input: Input): () => void {
  if (input.isTTY !== true || input.setRawMode === undefined) return () => {};
  input.setRawMode(true);
  let raw = true;
  const restore = () => {
    if (!raw) return;
    raw = false;
    input.setRawMode?.(false);
    process.off("exit", restore);
  };
  process.on("exit", restore);
  return restore;
}

/** Tells the size of the terminal now and whenever it changes. */
export function watchSize(output: Output, tell: (rows: number, columns: number) => void): () => void {
  if (output.isTTY !== true) return () => {};
  const told = () => {
    const { rows, columns } = output;
    if (rows && columns) tell(rows, columns);
  };
  output.on("resize", told);
  told();
  return () => void output.off("resize", told);
}
