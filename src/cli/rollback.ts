import type { RollbackResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";

export const rollback = command({
  name: "rollback",
  summary: "Put a container back to what a snapshot holds",
  args: "CONTAINER SNAPSHOT",
  arity: [2, 2],
  flags: {
    discard: flag.switch({ help: "Don't keep what the container holds now" }),
    time: flag.integer({ short: "t", help: "Seconds it may take to stop before it is killed" }),
  },
  details: `
The container keeps its id, its name and its settings; one that runs is stopped, and started again under the same address. What it holds now is
kept as the snapshot before-rollback-TIME. Volumes and what is bound from the host stay as they are.

SNAPSHOT is the name of one of the container's snapshots, CONTAINER@NAME or an id.`,
  async run({ client, args: [container = "", snapshot = ""], flags, print, warn }) {
    const { before } = await client.json<RollbackResponse>({
      method: "POST",
      path: `/onggi/v1/containers/${encodeURIComponent(container)}/rollback`,
      body: { snapshot, discard: flags.discard, timeoutSeconds: flags.time },
    });
    print(container);
    if (before !== null) warn(`what it held before is kept as ${before.reference}`);
    return 0;
  },
});
