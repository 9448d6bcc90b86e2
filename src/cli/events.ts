import type { EventMessage } from "../api/wire.ts";
import { command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { unescaped } from "./format.ts";
import { write } from "./io.ts";
import { readLines } from "./lines.ts";
import { compileTemplate } from "./template.ts";
import { parseMoment } from "./units.ts";

export const events = command({
  name: "events",
  summary: "Get real time events from the daemon",
  args: "",
  arity: [0, 0],
  flags: {
    filter: flag.list({ short: "f", help: "Show only what fits (container=…, event=…, type=…, image=…, label=…)" }),
    format: flag.string({ help: "Print as 'json' or by a Go template" }),
    since: flag.string({ help: "Show what happened since a time, then what happens" }),
    until: flag.string({ help: "End at this time" }),
  },
  async run({ client, flags, io }) {
    const nowMs = Date.now();
    const moment = (text: string | undefined) => (text === undefined ? undefined : parseMoment(text, nowMs));
    const show = eventPrinter(flags.format ?? "");
    const answer = await client.open({
      method: "GET",
      path: "/events",
      query: { since: moment(flags.since), until: moment(flags.until), filters: filterQuery(flags.filter) },
    });
    for await (const line of readLines(answer)) await write(io.stdout, `${show(line)}\n`);
    return 0;
  },
});

/** Makes of a line of JSON what is printed. */
export function eventPrinter(format: string): (line: string) => string {
  if (format === "json") return (line) => line;
  const fill = format === "" ? undefined : compileTemplate(unescaped(format));
  return (line) => {
    const event = JSON.parse(line) as EventMessage;
    return fill === undefined ? eventText(event, exactNanoseconds(line)) : fill(fields(event, line));
  };
}

/** A double can't hold them all, so they are read from the text. */
function exactNanoseconds(line: string): bigint {
  return BigInt(/"timeNano":\s*(\d+)/.exec(line)?.[1] ?? 0);
}

/** `2026-01-02T13:23:37.123456789+01:00 container start ID (image=…, name=…)` */
function eventText({ Type, Action, Actor, time }: EventMessage, nanoseconds: bigint): string {
  const attributes = Object.entries(Actor.Attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const list = attributes.map(([key, value]) => `${key}=${value}`).join(", ");
  const when = nanoseconds > 0n ? nanoseconds : BigInt(time) * 1_000_000_000n;
  return `${localTime(when)} ${Type} ${Action} ${Actor.ID}${list === "" ? "" : ` (${list})`}`;
}

function localTime(nanoseconds: bigint): string {
  const date = new Date(Number(nanoseconds / 1_000_000n));
  const offset = -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, 19);
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.abs(offset);
  const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
  return `${shifted}.${fraction}${zone}`;
}

/** As Go names them. */
function fields(event: EventMessage, line: string): object {
  return {
    Type: event.Type,
    Action: event.Action,
    Actor: event.Actor,
    Status: event.status ?? "",
    ID: event.id ?? "",
    From: event.from ?? "",
    Scope: event.scope,
    Time: event.time,
    TimeNano: exactNanoseconds(line),
    toJSON: () => event,
  };
}
