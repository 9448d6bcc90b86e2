import { DaemonError } from "./client.ts";
import { type Context, command } from "./command.ts";
import { containerPath, imagePath } from "./engine-call.ts";
import { Exit, explainError } from "./exit.ts";
import { flag } from "./flag.ts";
import { unescaped } from "./format.ts";
import { compileTemplate } from "./template.ts";

type Kind = "container" | "image" | "network" | "volume";

const format = flag.string({ short: "f", help: "Print as 'json' or by a Go template" });
const size = flag.switch({ short: "s", help: "Show sizes on disk of containers" });

export const inspect = command({
  name: "inspect",
  summary: "Return low-level information on containers, images, networks and volumes",
  args: "NAME|ID [NAME|ID...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {
    format,
    size,
    type: flag.string({ help: "Look only at this kind of thing (container|image|network|volume)" }),
  },
  async run(context) {
    return await inspectAll(context, context.flags.format, context.flags.size, kindsOf(context.flags.type));
  },
});

export const containerInspect = command({
  name: "inspect",
  summary: "Display detailed information on one or more containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { format, size },
  async run(context) {
    return await inspectAll(context, context.flags.format, context.flags.size, ["container"]);
  },
});

export const imageInspect = command({
  name: "inspect",
  summary: "Display detailed information on one or more images",
  args: "IMAGE [IMAGE...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { format },
  async run(context) {
    return await inspectAll(context, context.flags.format, false, ["image"]);
  },
});

export const volumeInspect = command({
  name: "inspect",
  summary: "Display detailed information on one or more volumes",
  args: "VOLUME [VOLUME...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { format },
  async run(context) {
    return await inspectAll(context, context.flags.format, false, ["volume"]);
  },
});

function kindsOf(type: string | undefined): readonly Kind[] {
  if (type === undefined || type === "") return ["container", "image", "network", "volume"];
  if (type === "container" || type === "image" || type === "network" || type === "volume") return [type];
  throw new Exit(1, `"${type}" is not a valid value for --type: container, image, network and volume are`);
}

type InspectContext = Pick<Context<object>, "client" | "args" | "io" | "print">;

async function inspectAll(
  { client, args, io, print }: InspectContext,
  wanted: string | undefined,
  withSize: boolean,
  kinds: readonly Kind[],
): Promise<number> {
  const fill =
    wanted === undefined || wanted === "" || wanted === "json" ? undefined : compileTemplate(unescaped(wanted));
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const key of args) {
    try {
      found.push(await inspectOne(client, key, kinds, withSize));
    } catch (error) {
      if (!(error instanceof DaemonError) && !(error instanceof Exit)) throw error;
      errors.push(explainError(error));
    }
  }
  if (fill !== undefined) for (const one of found) print(filled(fill, one));
  else if (wanted === "json") print(JSON.stringify(found));
  else print(JSON.stringify(found, undefined, 4));
  for (const error of errors) io.stderr.write(`${error}\n`);
  return errors.length > 0 ? 1 : 0;
}

function filled(fill: (data: unknown) => string, data: unknown): string {
  try {
    return fill(data);
  } catch (error) {
    throw new Exit(1, `template parsing error: ${explainError(error)}`);
  }
}

async function inspectOne(
  client: InspectContext["client"],
  key: string,
  kinds: readonly Kind[],
  size: boolean,
): Promise<unknown> {
  const paths = {
    container: containerPath(key, "json"),
    image: imagePath(key, "json"),
    network: `/networks/${encodeURIComponent(key)}`,
    volume: `/volumes/${encodeURIComponent(key)}`,
  };
  for (const kind of kinds) {
    try {
      return await client.json<unknown>({
        method: "GET",
        path: paths[kind],
        query: { size: (kind === "container" && size) || undefined },
      });
    } catch (error) {
      const isMissing = error instanceof DaemonError && error.status === 404;
      if (!isMissing || kinds.length === 1) throw error;
    }
  }
  throw new Exit(1, `Error: No such object: ${key}`);
}
