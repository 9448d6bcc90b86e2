import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { OnggiError } from "../base/error.ts";
import type { LogQuery, ProcessStreams } from "../engine/model.ts";
import { carryProcess } from "./process-carrier.ts";
import type { Query } from "./query.ts";
import { type Route, route } from "./route.ts";
import { multiplexedType, outputPieces, rawType } from "./stdcopy.ts";
import { parseMoment } from "./time.ts";
import type { WaitResponse } from "./wire.ts";

const conditions = ["not-running", "next-exit", "removed"] as const;

/** What goes on while a container runs: its streams, its log, its end. */
export const containerStreamRoutes: readonly Route[] = [
  route("POST /containers/:id/attach", async (engine, { params, query, signal }) => {
    const { id, config } = engine.containers.get(params.id);
    const terminal = config.terminal ?? false;
    const detachKeys = parseDetachKeys(query.text("detachKeys") || defaultDetachKeys);
    const wanted = { stdin: query.flag("stdin"), stdout: query.flag("stdout"), stderr: query.flag("stderr") };
    const streams = query.flag("stream")
      ? await engine.containers.attach(id, { ...wanted, logs: query.flag("logs") })
      : onlyOutput(
          query.flag("logs")
            ? engine.containers.logs(id, { ...wanted, follow: false, timestamps: false, signal })
            : none(),
        );
    return {
      contentType: terminal ? rawType : multiplexedType,
      hijack: (connection) => carryProcess(connection, streams, { terminal, stdin: wanted.stdin, detachKeys }),
    };
  }),

  route("GET /containers/:id/logs", (engine, { params, query, signal }) => {
    const { id, config } = engine.containers.get(params.id);
    const terminal = config.terminal ?? false;
    const chunks = engine.containers.logs(id, logQuery(query, signal));
    return {
      contentType: terminal ? rawType : multiplexedType,
      // Who follows waits for the answer, not for the first line.
      headerFirst: query.flag("follow"),
      stream: outputPieces(chunks, { framed: !terminal }),
    };
  }),

  route("POST /containers/:id/wait", (engine, { params, query, signal }) => {
    const text = query.text("condition") || "not-running";
    const condition = conditions.find((known) => known === text);
    if (condition === undefined) throw new OnggiError("invalid", `invalid condition: "${text}"`);
    const { id } = engine.containers.get(params.id);
    // The wait begins before the header goes out: docker starts the container as soon as it has the header.
    const outcome = engine.containers.wait(id, condition, { signal });
    outcome.catch(() => {});
    return { contentType: "application/json", headerFirst: true, stream: waitLine(outcome) };
  }),
];

/** The answer's field Error is left out: docker ends with 125 where it finds one, whatever the status. */
async function* waitLine(outcome: Promise<{ readonly exitCode: number }>): AsyncGenerator<string> {
  const { exitCode } = await outcome;
  yield `${JSON.stringify({ StatusCode: exitCode } satisfies WaitResponse)}\n`;
}

/** @throws OnggiError `invalid` in Docker's words */
function logQuery(query: Query, signal: AbortSignal): LogQuery {
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) throw new OnggiError("invalid", "Bad parameters: you must choose at least one stream");
  const tail = query.text("tail");
  const sinceMs = parseMoment("since", query.text("since"));
  const untilMs = parseMoment("until", query.text("until"));
  return {
    stdout,
    stderr,
    follow: query.flag("follow"),
    timestamps: query.flag("timestamps"),
    // As in Docker, whatever is no number means all.
    ...(/^\d+$/.test(tail) ? { tail: Number(tail) } : {}),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
    signal,
  };
}

/** Streams without a process that would read. */
function onlyOutput(output: ProcessStreams["output"]): ProcessStreams {
  return { output, writeStdin: async () => {}, closeStdin: () => {}, detach: () => {} };
}

async function* none(): AsyncGenerator<never> {}
