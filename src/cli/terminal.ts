import type { Input, Output } from "./io.ts";

/**
 * Hands every key to the container: no echo, no lines, no signals by key.
 *
 * @returns puts the terminal back; it also goes back when the process ends in another way
 */
export function makeRaw(input: Input): () => void {
  if (input.isTTY !== true || input.setRawMode === undefined) return () => {};
  input.setRawMode(true);
  leaveOutputAlone(input);
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

/**
 * Node's raw mode still turns a line feed into a carriage return and a line feed, but the container's terminal has done
 * that already, and what draws on the whole screen means a line feed alone. Node sets the mode back as it was.
 */
function leaveOutputAlone({ fd }: Input): void {
  if (fd === undefined) return;
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  // Where there is no stty, lines come with one more carriage return.
  spawnSync("stty", ["-opost"], { stdio: [fd, "ignore", "ignore"] });
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
