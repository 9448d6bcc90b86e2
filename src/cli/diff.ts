import type { ContainerChange } from "../api/wire.ts";
import { changeLetters } from "./change-letters.ts";
import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";

export const diff = command({
  name: "diff",
  summary: "Inspect changes to files or directories on a container's filesystem",
  args: "CONTAINER",
  arity: [1, 1],
  flags: {},
  details: `
A line a path: A was added, C changed, D deleted, against the container's image. What lies in volumes and binds isn't told.
'onggi snapshot diff' compares any two trees, and shows what changed in texts.`,
  async run({ client, args: [container = ""], print }) {
    const changes = await client.json<readonly ContainerChange[]>({
      method: "GET",
      path: containerPath(container, "changes"),
    });
    for (const { Kind, Path } of changes) print(`${changeLetters[Kind]} ${Path}`);
    return 0;
  },
});
