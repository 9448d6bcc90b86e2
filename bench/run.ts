/**
 * Measures: `npm run bench [-- [--write] [FILE...]]`. Prints each table; with `--write` puts it into
 * docs/performance.md too, between its markers. FILE is the name of a `*.bench.ts` here, or part of it.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { basename, join } from "node:path";
import { measureTable, type TableDefinition } from "./harness.ts";
import { findPeers } from "./peers.ts";
import { markdownTable, replaceSection } from "./report.ts";

const page = join(import.meta.dirname, "../docs/performance.md");
const words = process.argv.slice(2);
const write = words.includes("--write");
const wanted = words.filter((word) => !word.startsWith("--"));

function publish(name: string, content: string): void {
  process.stdout.write(`${content}\n`);
  if (write) writeFileSync(page, replaceSection(readPage(), name, content));
}

function readPage(): string {
  try {
    return readFileSync(page, "utf8");
  } catch {
    return "# Performance\n\nMade by `npm run bench -- --write`. Compare inside one table: its rows ran in turns.\n";
  }
}

function describeHost(): string {
  const peers = findPeers().map((peer) =>
    peer.installed ? `${peer.name} ${peer.version}` : `${peer.name}: ${peer.reason}`,
  );
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${memoryGib} GiB, Linux ${release()}, Node ${process.versions.node}. Peers: ${peers.join("; ")}.\n`;
}

const files = globSync("*.bench.ts", { cwd: import.meta.dirname })
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(basename(word))))
  .sort();
if (files.length === 0) {
  process.stderr.write(
    `bench: no file bench/*.bench.ts${wanted.length > 0 ? ` is named like ${wanted.join(" or ")}` : ""}\n`,
  );
  process.exitCode = 1;
} else {
  publish("host", describeHost());
}

for (const file of files) {
  const { default: exported } = (await import(join(import.meta.dirname, file))) as {
    default: TableDefinition | TableDefinition[];
  };
  for (const definition of [exported].flat()) publish(definition.title, markdownTable(await measureTable(definition)));
}
