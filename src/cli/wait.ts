import { OnggiError } from "../base/error.ts";
import { command } from "./command.ts";
import { forEach } from "./engine-call.ts";
import { waitForEnd } from "./wait-for-end.ts";

export const wait = command({
  name: "wait",
  summary: "Block until one or more containers stop, then print their exit codes",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {},
  async run(context) {
    return await forEach(context, context.args, async (key) => {
      const { end } = await waitForEnd(context.client, key, "not-running");
      const { status, error } = await end;
      if (error !== "" && status === 0) throw new OnggiError("unavailable", error);
      return String(status);
    });
  },
});
