import type { MeasuredTable } from "./harness.ts";

/** A table as Markdown, under its heading. */
export function markdownTable({ title, unit, results, missing }: MeasuredTable): string {
  const head = [`### ${title}`, "", `| | p50 ${unit} | p90 | min | n | p50 as a ratio |`, "|---|--:|--:|--:|--:|---|"];
  const rows = results.map(({ name, p50, p90, min, n, ratio }) => {
    const shown = ratio === undefined ? "" : `${rounded(ratio.factor)} × ${ratio.to}`;
    return `| ${name} | ${rounded(p50)} | ${rounded(p90)} | ${rounded(min)} | ${n} | ${shown} |`;
  });
  const absent = missing.map(({ name, reason }) => `| ${name} | | | | | not measured: ${reason} |`);
  return [...head, ...rows, ...absent, ""].join("\n");
}

/** Three significant digits, as people read them. */
export function rounded(value: number): string {
  if (!Number.isFinite(value)) return "?";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** Puts `content` between the markers of `name` in a page; where there are none, appends them. */
export function replaceSection(page: string, name: string, content: string): string {
  const open = `<!-- bench ${name} -->`;
  const close = `<!-- /bench ${name} -->`;
  const section = `${open}\n${content.trim()}\n${close}`;
  const from = page.indexOf(open);
  const to = page.indexOf(close, from);
  if (from === -1 || to === -1) return `${page.trimEnd()}\n\n${section}\n`;
  return page.slice(0, from) + section + page.slice(to + close.length);
}
