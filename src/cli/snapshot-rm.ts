import { command } from "./command.ts";
import { forEach } from "./engine-call.ts";
import { flag } from "./flag.ts";

export const snapshotRm = command({
  name: "rm",
  summary: "Remove one or more snapshots",
  args: "SNAPSHOT [SNAPSHOT...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {
    force: flag.switch({
      short: "f",
      help: "Also while a container stands on it: its files then go with the container",
    }),
  },
  details: "A snapshot is named CONTAINER@NAME, by its id, or by a beginning of that.",
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      await client.status({
        method: "DELETE",
        path: `/onggi/v1/snapshots/${encodeURIComponent(key)}`,
        query: { force: flags.force || undefined },
      });
      return key;
    });
  },
});
