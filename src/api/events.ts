import type { EngineEvent } from "../engine/model.ts";
import { Filters } from "./filters.ts";
import { type Route, route } from "./route.ts";
import { parseMoment } from "./time.ts";
import type { EventMessage } from "./wire.ts";

const knownFilters =
  "config container daemon event image label network node plugin scope secret service type volume".split(" ");

export const eventRoutes: readonly Route[] = [
  route("GET /events", (engine, { query, signal }) => {
    const filters = Filters.parse(query.text("filters"), knownFilters);
    const sinceMs = parseMoment("since", query.text("since"));
    const untilMs = parseMoment("until", query.text("until"));
    const events = engine.events.subscribe({
      ...(sinceMs === undefined ? {} : { sinceMs }),
      ...(untilMs === undefined ? {} : { untilMs }),
      signal,
    });
    return { contentType: "application/json", headerFirst: true, stream: eventLines(events, filters) };
  }),
];

async function* eventLines(events: AsyncIterable<EngineEvent>, filters: Filters): AsyncGenerator<string> {
  for await (const event of events) if (isWanted(event, filters)) yield eventLine(event);
}

/** The time is spliced in as text: a double can't hold it, and clients in Go read it whole. */
export function eventLine(event: EngineEvent): string {
  const { type, action, id, attributes, timeNs } = event;
  const isLegacy = type === "container" || type === "image";
  const message: Omit<EventMessage, "timeNano"> = {
    ...(isLegacy ? { status: action, id } : {}),
    ...(type === "container" && attributes.image !== undefined ? { from: attributes.image } : {}),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: Number(timeNs / 1_000_000_000n),
  };
  return `${JSON.stringify(message).slice(0, -1)},"timeNano":${timeNs}}\n`;
}

function isWanted({ type, action, id, attributes }: EngineEvent, filters: Filters): boolean {
  const name = attributes.name ?? "";
  const isNamed = (kind: string) =>
    filters.any(kind, (key) => type === kind && (key === name || key === id || (key !== "" && id.startsWith(key))));
  return (
    filters.any("type", (wanted) => wanted === type) &&
    // `exec_start: sh` is an exec_start.
    filters.any("event", (wanted) => wanted === action || action.startsWith(`${wanted}:`)) &&
    filters.any("scope", (scope) => scope === "local") &&
    filters.matchesLabels(attributes) &&
    isNamed("container") &&
    isNamed("network") &&
    isNamed("daemon") &&
    isNamed("volume") &&
    filters.any("image", (wanted) => isImage(wanted, type === "image" ? [id, name] : [attributes.image ?? ""])) &&
    ["config", "node", "plugin", "secret", "service"].every((kind) => !filters.has(kind))
  );
}

/** An image by its name, with or without tag, or by its id. */
function isImage(wanted: string, names: readonly string[]): boolean {
  return names.some((name) => name === wanted || name.replace(/:[^:/]*$/, "") === wanted);
}
