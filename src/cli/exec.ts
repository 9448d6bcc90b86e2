import type { ExecCreateRequest, ExecInspect } from "../api/wire.ts";
import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { OnggiError } from "../base/error.ts";
import { type Context, command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { readEnvironment } from "./env-file.ts";
import { Exit, explainError, startFailureStatus } from "./exit.ts";
import { flag } from "./flag.ts";
import { requireTerminal, runSession } from "./session.ts";
import { watchSize } from "./terminal.ts";

const flags = {
  detach: flag.switch({ short: "d", help: "Run the command in the background" }),
  detachKeys: flag.string({ help: 'Keys that detach (default "ctrl-p,ctrl-q")' }),
  env: flag.list({ short: "e", help: "Set environment variables" }),
  envFile: flag.list({ help: "Read environment variables from a file" }),
  interactive: flag.switch({ short: "i", help: "Keep STDIN open even if not attached" }),
  privileged: flag.switch({ help: "Give all rights to the command" }),
  tty: flag.switch({ short: "t", help: "Allocate a pseudo-TTY" }),
  user: flag.string({ short: "u", help: "User name or UID (<name|uid>[:<group|gid>])" }),
  workdir: flag.string({ short: "w", help: "Working directory inside" }),
};

type ExecContext = Context<typeof flags>;

export const exec = command({
  name: "exec",
  summary: "Execute a command in a running container",
  args: "CONTAINER COMMAND [ARG...]",
  arity: [2, Number.POSITIVE_INFINITY],
  flags,
  stopEarly: true,
  async run(context) {
    const { client, flags, io, args } = context;
    const [container = ""] = args;
    parseDetachKeys(flags.detachKeys ?? "");
    if (!flags.detach) requireTerminal(io, flags.interactive, flags.tty);

    const { Id } = await client.json<{ Id: string }>({
      method: "POST",
      path: containerPath(container, "exec"),
      body: execRequest(context),
    });
    if (!flags.detach) return await runAttached(context, Id);
    await startOrExit(
      client.status({ method: "POST", path: `/exec/${Id}/start`, body: { Detach: true, Tty: flags.tty } }),
    );
    return 0;
  },
});

function execRequest({ flags, args, io }: ExecContext): ExecCreateRequest {
  const [, ...command] = args;
  const attached = !flags.detach;
  return {
    Cmd: command,
    AttachStdin: attached && flags.interactive,
    AttachStdout: attached,
    AttachStderr: attached,
    Tty: flags.tty,
    Env: readEnvironment(flags.envFile, flags.env, io.env),
    User: flags.user ?? "",
    WorkingDir: flags.workdir ?? "",
    Privileged: flags.privileged,
    DetachKeys: flags.detachKeys ?? "",
    ...consoleSize(flags.tty && attached, io),
  };
}

async function runAttached({ client, flags, io }: ExecContext, id: string): Promise<number> {
  const hijacked = await startOrExit(
    client.hijack({
      method: "POST",
      path: `/exec/${id}/start`,
      body: { Detach: false, Tty: flags.tty, ...consoleSize(flags.tty, io) },
    }),
  );
  const unwatch = flags.tty
    ? watchSize(io.stdout, (h, w) => {
        client.status({ method: "POST", path: `/exec/${id}/resize`, query: { h, w } }).catch(() => {});
      })
    : () => {};
  try {
    const end = await runSession({
      hijacked,
      io,
      tty: flags.tty,
      stdin: flags.interactive,
      detachKeys: flags.detachKeys ?? defaultDetachKeys,
    });
    if (end === "detached") throw new Exit(1, "read escape sequence");
  } finally {
    unwatch();
  }
  const { Running, ExitCode } = await client.json<ExecInspect>({
    method: "GET",
    path: `/exec/${id}/json`,
  });
  if (Running) throw new OnggiError("unavailable", "the connection to the command broke off; it still runs");
  return ExitCode ?? 0;
}

function consoleSize(tty: boolean, io: ExecContext["io"]): { ConsoleSize?: readonly [number, number] } {
  if (!tty) return {};
  const { rows, columns } = io.stdout;
  return rows && columns ? { ConsoleSize: [rows, columns] } : {};
}

async function startOrExit<T>(starting: Promise<T>): Promise<T> {
  try {
    return await starting;
  } catch (error) {
    const status = startFailureStatus(error);
    throw status === undefined ? error : new Exit(status, explainError(error));
  }
}
