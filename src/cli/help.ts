import { commands, findCommand, groups, type Section } from "./catalog.ts";
import type { Command } from "./command.ts";
import type { Flags } from "./flag.ts";
import { globalFlags } from "./global-flags.ts";
import { longName } from "./parse-flags.ts";

const sections: readonly (readonly [Section, string])[] = [
  ["common", "Common Commands:"],
  ["container", "Containers:"],
  ["image", "Images:"],
  ["system", "System:"],
];

/** Help for no words (all commands), a noun, or a command; undefined when there is no such thing. */
export async function helpFor(words: readonly string[]): Promise<string | undefined> {
  if (words.length === 0) return await overview();
  const found = findCommand(words);
  if (found.kind === "command") return commandHelp(await found.load(), found.path);
  return found.kind === "group" ? await groupHelp(found.name) : undefined;
}

/** What `onggi X --help` prints. */
export function commandHelp(command: Command, path: string): string {
  const flags = flagLines(command.flags);
  const head = `Usage:  onggi ${path}${flags === "" ? "" : " [OPTIONS]"}${command.args === "" ? "" : ` ${command.args}`}`;
  const details = command.details === undefined ? "" : `\n${command.details.trim()}\n`;
  return `${head}\n\n${command.summary}\n${details}${flags === "" ? "" : `\nOptions:\n${flags}`}`;
}

async function overview(): Promise<string> {
  const texts = await Promise.all(
    sections.map(async ([section, title]) => {
      const entries = Object.entries(commands).filter(([, entry]) => entry.section === section);
      const rows = await Promise.all(entries.map(async ([name, { load }]) => [name, (await load()).summary] as const));
      return `${title}\n${lines(rows)}`;
    }),
  );
  const nouns = lines(Object.entries(groups).map(([name, { summary }]) => [name, summary] as const));
  return [
    "Usage:  onggi [OPTIONS] COMMAND\n\nA container engine in TypeScript\n",
    ...texts,
    `Management Commands:\n${nouns}`,
    `Global Options:\n${flagLines(globalFlags)}`,
    "Run 'onggi COMMAND --help' for more information on a command.\n",
  ].join("\n");
}

async function groupHelp(name: string): Promise<string> {
  const group = groups[name];
  if (group === undefined) return "";
  const rows = await Promise.all(
    Object.entries(group.commands).map(async ([verb, load]) => [verb, (await load()).summary] as const),
  );
  return `Usage:  onggi ${name} COMMAND\n\n${group.summary}\n\nCommands:\n${lines(rows)}\nRun 'onggi ${name} COMMAND --help' for more information on a command.\n`;
}

function lines(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([name, summary]) => `  ${name.padEnd(12)}${summary}\n`).join("");
}

function flagLines(flags: Flags): string {
  const rows = Object.entries(flags)
    .filter(([, { hidden }]) => !hidden)
    .map(([key, { short, placeholder, help }]) => {
      const name = `${short === undefined ? "    " : `-${short}, `}--${longName(key)}`;
      return [placeholder === "" ? name : `${name} ${placeholder}`, help] as const;
    })
    .sort(([a], [b]) => (a.slice(4) < b.slice(4) ? -1 : 1));
  const width = Math.max(0, ...rows.map(([name]) => name.length)) + 3;
  return rows.map(([name, help]) => `  ${name.padEnd(width)}${wrapped(help, width + 2)}\n`).join("");
}

/** Breaks a text at blanks, so that it stays right of its column in a terminal of 100. */
function wrapped(text: string, indent: number): string {
  const width = Math.max(100 - indent, 30);
  const rows: string[] = [];
  for (const word of text.split(" ")) {
    const last = rows.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) rows.push(word);
    else rows[rows.length - 1] = `${last} ${word}`;
  }
  return rows.join(`\n${" ".repeat(indent)}`);
}
