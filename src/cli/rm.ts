import { DaemonError } from "./client.ts";
import { command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";
import { flag } from "./flag.ts";

export const rm = command({
  name: "rm",
  summary: "Remove one or more containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {
    force: flag.switch({ short: "f", help: "Remove a running container too, by SIGKILL" }),
    link: flag.switch({ short: "l", help: "Accepted for Docker's sake", hidden: true }),
    volumes: flag.switch({ short: "v", help: "Remove the anonymous volumes of the container too" }),
  },
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      try {
        await client.status({
          method: "DELETE",
          path: containerPath(key),
          query: { force: flags.force || undefined, v: flags.volumes || undefined },
        });
      } catch (error) {
        // What is to be gone is gone: as Docker, `rm -f` says so and is content.
        if (flags.force && error instanceof DaemonError && error.status === 404) {
          context.warn(`Error response from daemon: ${error.message}`);
          return undefined;
        }
        throw error;
      }
      return key;
    });
  },
});
