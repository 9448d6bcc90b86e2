import type { FromHostRequest, ProgressLine } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { familiarReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import { type Context, command } from "./command.ts";
import { flag } from "./flag.ts";

export const fromHost = command({
  name: "from-host",
  summary: "Make an image of this machine's own programs and what they need",
  args: "[PROGRAM...]",
  arity: [0, Number.POSITIVE_INFINITY],
  flags: { tag: flag.string({ short: "t", help: 'Name of the image (default "host:latest")' }) },
  details:
    "Without programs: a shell, the usual small tools, and tools to look at processes, mounts and networks, as far as this machine has them.",
  async run(context) {
    const { args, flags, print } = context;
    const reference = familiarReference(withDefaultTag(parseReference(flags.tag ?? "host")));
    print(await makeHostImage(context, { reference, programs: args }));
    return 0;
  },
});

interface HostImage {
  readonly reference: string;
  /** Empty for the default set. */
  readonly programs: readonly string[];
}

/** Has the daemon make the image; resolves with its id. What is missing is told on stderr. */
export async function makeHostImage(
  { client, io }: Pick<Context<object>, "client" | "io">,
  { reference, programs }: HostImage,
): Promise<string> {
  const body: FromHostRequest = programs.length > 0 ? { reference, programs } : { reference };
  let id = "";
  for await (const line of client.lines<ProgressLine>({ method: "POST", path: "/onggi/v1/images/from-host", body })) {
    const error = line.errorDetail?.message ?? line.error;
    if (error !== undefined) throw new OnggiError("unavailable", error);
    if (line.aux !== undefined && "ID" in line.aux) id = String(line.aux.ID);
    const text = (line.stream ?? line.status ?? "").trimEnd();
    if (text !== "" && (io.stderr.isTTY === true || /missing|not found|warning/i.test(text)))
      io.stderr.write(`onggi: ${text}\n`);
  }
  return id;
}
