import type { EngineFace } from "../engine/engine.ts";
import type { Connection } from "./connection.ts";
import type { Query } from "./query.ts";

/** What a handler is given besides the engine. */
export interface Call<Name extends string = string> {
  /** The parts of the path that the pattern names, decoded. */
  readonly params: Readonly<Record<Name, string>>;
  readonly query: Query;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Aborted when the client goes away, or the daemon closes. */
  readonly signal: AbortSignal;
  /** The body as JSON: an object, empty where nothing was sent. Its fields are checked where they are read. */
  json<T extends object>(): Promise<Partial<T>>;
  /** The body as it comes, of any size. */
  readonly stream: AsyncIterable<Uint8Array>;
}

export type Answer = PlainAnswer | StreamAnswer | HijackAnswer;

export interface PlainAnswer {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What comes in pieces. What fails before the first piece is an answer with a status; later the connection breaks off. */
export interface StreamAnswer {
  readonly stream: AsyncIterable<Uint8Array | string>;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the header at once, not with the first piece: for clients that wait for it. */
  readonly headerFirst?: boolean;
}

/** Takes the connection over from HTTP: both directions belong to the handler from then on. */
export interface HijackAnswer {
  readonly hijack: (connection: Connection) => Promise<void>;
  readonly contentType: string;
}

export interface Route {
  readonly method: string;
  readonly pattern: string;
  readonly handle: (engine: EngineFace, call: Call) => Answer | Promise<Answer>;
}

/** The names in a pattern: `id` of `/containers/:id/start`; a name with a star takes slashes, too. */
type NameIn<Pattern extends string> = Pattern extends `${infer First}/${infer Rest}`
  ? NameIn<First> | NameIn<Rest>
  : Pattern extends `:${infer Name}*`
    ? Name
    : Pattern extends `:${infer Name}`
      ? Name
      : never;

/** Binds a method and a path to what answers it: `route("POST /containers/:id/start", async (engine, { params }) => …)`. */
export function route<const Pattern extends string>(
  methodAndPattern: Pattern,
  handle: (engine: EngineFace, call: Call<NameIn<Pattern>>) => Answer | Promise<Answer>,
): Route {
  const [method = "", pattern = ""] = methodAndPattern.split(" ");
  // The router fills in exactly the names of the pattern.
  return { method, pattern, handle: handle as Route["handle"] };
}
