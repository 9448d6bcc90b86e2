import { command } from "./command.ts";
import { createContainer } from "./create-container.ts";
import { createRequest } from "./create-request.ts";
import { createFlags } from "./run-flags.ts";

export const create = command({
  name: "create",
  summary: "Create a new container",
  args: "IMAGE [COMMAND] [ARG...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: createFlags,
  stopEarly: true,
  async run(context) {
    const { flags, args, io } = context;
    const request = createRequest(flags, args, { attached: true, environment: io.env });
    context.print(await createContainer(context, request));
  },
});
