import type { SnapshotCreateResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";

export const snapshotCreate = command({
  name: "create",
  summary: "Keep what a container's files are now",
  args: "CONTAINER [NAME]",
  arity: [1, 2],
  flags: {
    keep: flag.integer({ help: "Keep so many of the container's snapshots that were made with a rule" }),
    keepFor: flag.durationMs({ help: "Of the container's snapshots that were made with a rule, remove older ones" }),
  },
  details: `
A container that runs stands still while its files are copied, and goes on. Without a NAME the snapshot is named for its time.
Volumes and what is bound from the host aren't part of it.

--keep and --keep-for remove snapshots of the same container that were made with one of them, never others, and none
that a container stands on: 'onggi snapshot create --keep 10 web' every hour keeps the last ten hours.`,
  async run({ client, args: [container = "", name], flags, print, warn }) {
    const { snapshot, removed } = await client.json<SnapshotCreateResponse>({
      method: "POST",
      path: `/onggi/v1/containers/${encodeURIComponent(container)}/snapshots`,
      body: { name, keep: flags.keep, keepForMs: flags.keepFor },
    });
    print(snapshot.reference);
    for (const reference of removed) warn(`removed ${reference}`);
    return 0;
  },
});
