import type { ProgressLine } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import type { Output } from "./io.ts";

/**
 * Shows the progress that the daemon streams: in place on a terminal, line by line elsewhere.
 *
 * @param output - where to; undefined shows nothing
 * @returns the last `aux` that came
 * @throws OnggiError `unavailable` with the error that the stream carried
 */
export async function showProgress(
  lines: AsyncIterable<ProgressLine>,
  output: Output | undefined,
): Promise<object | undefined> {
  const show = output === undefined ? () => {} : output.isTTY ? inPlace(output) : lineByLine(output);
  let aux: object | undefined;
  for await (const line of lines) {
    const error = line.errorDetail?.message ?? line.error;
    if (error !== undefined) throw new OnggiError("unavailable", error);
    if (line.aux !== undefined) aux = line.aux;
    show(line);
  }
  return aux;
}

/** How far a transfer has come changes too often for a log: only steps are told. */
function lineByLine(output: Output) {
  return (line: ProgressLine) => {
    if (line.stream !== undefined) output.write(line.stream);
    else if (line.status !== undefined && !isAmount(line)) output.write(`${text(line)}\n`);
  };
}

function inPlace(output: Output) {
  const rows = new Map<string, number>();
  return (line: ProgressLine) => {
    if (line.stream !== undefined) {
      output.write(line.stream);
      return;
    }
    if (line.status === undefined) return;
    if (line.id === undefined || isHeading(line)) {
      output.write(`${text(line)}\n`);
      // What comes later stands below this line.
      rows.clear();
      return;
    }
    const known = rows.get(line.id);
    if (known === undefined) {
      rows.set(line.id, rows.size);
      output.write(`${text(line)}\n`);
      return;
    }
    const up = rows.size - known;
    output.write(`\x1b[${up}A\x1b[2K\r${text(line)}\x1b[${up}B\r`);
  };
}

function isAmount({ progressDetail, progress }: ProgressLine): boolean {
  return (progress !== undefined && progress !== "") || (progressDetail?.current ?? 0) > 0;
}

function isHeading({ status = "" }: ProgressLine): boolean {
  return status.startsWith("Pulling from ");
}

function text({ id, status = "", progress = "" }: ProgressLine): string {
  return `${id === undefined ? "" : `${id}: `}${status}${progress === "" ? "" : ` ${progress}`}`;
}
