import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { OnggiError } from "../base/error.ts";
import { attachContainer } from "./attach-container.ts";
import { type Context, command } from "./command.ts";
import { createContainer } from "./create-container.ts";
import { type CreateRequest, createRequest } from "./create-request.ts";
import { containerPath } from "./engine-call.ts";
import { Exit, explainError, startFailureStatus } from "./exit.ts";
import { runFlags } from "./run-flags.ts";
import { requireTerminal } from "./session.ts";

type RunContext = Context<typeof runFlags>;

export const run = command({
  name: "run",
  summary: "Create and run a new container from an image",
  args: "IMAGE [COMMAND] [ARG...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: runFlags,
  stopEarly: true,
  failureStatus: 125,
  details: "The image 'host' is made of this machine's own programs when it isn't there yet.",
  async run(context) {
    const { flags, args, io } = context;
    if (flags.detach && flags.attach.length > 0)
      throw new OnggiError("invalid", "conflicting options: cannot specify both --attach and --detach");
    const { rows, columns } = flags.tty && !flags.detach ? io.stdout : {};
    const terminalSize = rows && columns ? ([rows, columns] as const) : undefined;
    const request = createRequest(flags, args, { attached: !flags.detach, environment: io.env, terminalSize });
    parseDetachKeys(flags.detachKeys ?? "");
    requireTerminal(io, request.body.AttachStdin, flags.tty);
    return flags.detach ? await runDetached(context, request) : await runAttached(context, request);
  },
});

async function runDetached(context: RunContext, request: CreateRequest): Promise<number> {
  const id = await createContainer(context, request);
  await start(context, id);
  context.print(id);
  return 0;
}

async function runAttached(context: RunContext, request: CreateRequest): Promise<number> {
  const { client, flags, io } = context;
  const { AttachStdin: stdin, AttachStdout: stdout, AttachStderr: stderr } = request.body;
  const id = await createContainer(context, request);
  const end = await attachContainer(client, io, {
    id,
    tty: flags.tty,
    streams: { stdin, stdout, stderr },
    sigProxy: flags.sigProxy,
    detachKeys: flags.detachKeys ?? defaultDetachKeys,
    condition: flags.rm ? "removed" : "next-exit",
    attached: () => start(context, id),
  });
  return end === "detached" ? 0 : end;
}

async function start({ client }: RunContext, id: string): Promise<void> {
  try {
    await client.status({ method: "POST", path: containerPath(id, "start") });
  } catch (error) {
    throw new Exit(startFailureStatus(error) ?? 125, `onggi: ${explainError(error)}`);
  }
}
