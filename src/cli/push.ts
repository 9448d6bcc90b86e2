import type { ProgressLine } from "../api/wire.ts";
import { familiarName, fullName, fullReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import { command } from "./command.ts";
import { imagePath } from "./engine-call.ts";
import { flag } from "./flag.ts";
import { authHeader } from "./login-config.ts";
import { showProgress } from "./progress.ts";

export const push = command({
  name: "push",
  summary: "Upload an image to a registry",
  args: "NAME[:TAG]",
  arity: [1, 1],
  flags: {
    allTags: flag.switch({ short: "a", help: "Push all tags of the image" }),
    quiet: flag.switch({ short: "q", help: "Only print the image's name" }),
  },
  async run({ client, args: [name = ""], flags, io, print }) {
    const reference = flags.allTags ? parseReference(name) : withDefaultTag(parseReference(name));
    if (!flags.quiet && !flags.allTags && parseReference(name).tag === undefined) print("Using default tag: latest");
    const lines = client.lines<ProgressLine>({
      method: "POST",
      path: imagePath(familiarName(reference), "push"),
      query: { tag: reference.tag },
      headers: authHeader(reference, io.env),
    });
    await showProgress(lines, flags.quiet ? undefined : io.stdout);
    if (flags.quiet) print(flags.allTags ? fullName(reference) : fullReference(reference));
    return 0;
  },
});
