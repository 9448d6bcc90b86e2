import type { ProgressLine } from "../api/wire.ts";
import { familiarName, fullReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import { type Context, command } from "./command.ts";
import { flag } from "./flag.ts";
import type { Output } from "./io.ts";
import { authHeader } from "./login-config.ts";
import { showProgress } from "./progress.ts";

export const pull = command({
  name: "pull",
  summary: "Download an image from a registry",
  args: "NAME[:TAG|@DIGEST]",
  arity: [1, 1],
  flags: {
    platform: flag.string({ help: "Platform of the image (os/arch)" }),
    quiet: flag.switch({ short: "q", help: "Only print the image's name" }),
  },
  async run(context) {
    const {
      args: [name = ""],
      flags,
      io,
      print,
    } = context;
    const reference = parseReference(name);
    if (reference.tag === undefined && reference.digest === undefined && !flags.quiet)
      print("Using default tag: latest");
    await pullImage(context, name, { ...flags, output: flags.quiet ? undefined : io.stdout });
    print(fullReference(withDefaultTag(reference)));
    return 0;
  },
});

interface PullOptions {
  readonly platform: string | undefined;
  readonly quiet: boolean;
  readonly output: Output | undefined;
}

/** Pulls one image, showing the progress on `output`. */
export async function pullImage(
  { client, io }: Pick<Context<object>, "client" | "io">,
  name: string,
  options: PullOptions,
): Promise<void> {
  const reference = withDefaultTag(parseReference(name));
  const lines = client.lines<ProgressLine>({
    method: "POST",
    path: "/images/create",
    query: { fromImage: familiarName(reference), tag: reference.digest ?? reference.tag, platform: options.platform },
    headers: authHeader(reference, io.env),
  });
  await showProgress(lines, options.quiet ? undefined : options.output);
}
