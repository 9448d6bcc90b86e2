import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";

export const rename = command({
  name: "rename",
  summary: "Rename a container",
  args: "CONTAINER NEW_NAME",
  arity: [2, 2],
  flags: {},
  async run({ client, args: [key = "", name = ""] }) {
    await client.status({ method: "POST", path: containerPath(key, "rename"), query: { name } });
    return 0;
  },
});
