import type { ImageDeleteItem } from "../api/wire.ts";
import { DaemonError } from "./client.ts";
import { command } from "./command.ts";
import { forEach, imagePath } from "./engine-call.ts";
import { flag } from "./flag.ts";

export const rmi = command({
  name: "rmi",
  summary: "Remove one or more images",
  args: "IMAGE [IMAGE...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {
    force: flag.switch({ short: "f", help: "Remove it even if stopped containers use it" }),
    noPrune: flag.switch({ help: "Keep untagged parents" }),
  },
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      try {
        const removed = await client.json<readonly ImageDeleteItem[]>({
          method: "DELETE",
          path: imagePath(key),
          query: { force: flags.force || undefined, noprune: flags.noPrune || undefined },
        });
        return removed
          .map((item) => ("Untagged" in item ? `Untagged: ${item.Untagged}` : `Deleted: ${item.Deleted}`))
          .join("\n");
      } catch (error) {
        if (!flags.force || !(error instanceof DaemonError) || error.status !== 404) throw error;
        context.warn(`Error response from daemon: ${error.message}`);
        return undefined;
      }
    });
  },
});
