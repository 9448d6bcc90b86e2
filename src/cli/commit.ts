import type { IdResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { splitName } from "./repository.ts";

export const commit = command({
  name: "commit",
  summary: "Create a new image from a container's changes",
  args: "CONTAINER [REPOSITORY[:TAG]]",
  arity: [1, 2],
  flags: {
    author: flag.string({ short: "a", help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' }),
    change: flag.list({ short: "c", help: "Apply Dockerfile instruction to the created image" }),
    message: flag.string({ short: "m", help: "Commit message" }),
    pause: flag.switch({ short: "p", initial: true, help: "Pause container during commit" }),
  },
  details: `
Instructions are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR. What lies in volumes and
binds is no part of the image.`,
  async run({ client, args: [container = "", name = ""], flags, print }) {
    const { repo, tag } = splitName(name);
    const { Id } = await client.json<IdResponse>({
      method: "POST",
      path: "/commit",
      query: {
        container,
        repo,
        tag,
        author: flags.author,
        comment: flags.message,
        pause: flags.pause,
        changes: flags.change,
      },
    });
    print(Id);
    return 0;
  },
});
