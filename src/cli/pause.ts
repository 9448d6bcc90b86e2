import { command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";

export const pause = command({
  name: "pause",
  summary: "Pause all processes within one or more containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {},
  async run(context) {
    return await forEach(context, context.args, async (key) => {
      await context.client.status({ method: "POST", path: containerPath(key, "pause") });
      return key;
    });
  },
});

export const unpause = command({
  name: "unpause",
  summary: "Unpause all processes within one or more containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {},
  async run(context) {
    return await forEach(context, context.args, async (key) => {
      await context.client.status({ method: "POST", path: containerPath(key, "unpause") });
      return key;
    });
  },
});
