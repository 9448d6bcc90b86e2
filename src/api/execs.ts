import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { ExecConfig, ExecInfo, ProcessStreams } from "../engine/model.ts";
import { sizeOf } from "./container-create.ts";
import { terminalSize } from "./containers.ts";
import { defined } from "./host-config.ts";
import { sentenceOf } from "./http-error.ts";
import { carryProcess } from "./process-carrier.ts";
import { type Route, route } from "./route.ts";
import { multiplexedType, rawType } from "./stdcopy.ts";
import type { ExecCreateRequest, ExecInspect, ExecStartRequest } from "./wire.ts";

export const execRoutes: readonly Route[] = [
  route("POST /containers/:id/exec", async (engine, call) => {
    const config = parseExec(await call.json<ExecCreateRequest>());
    return { status: 201, json: { Id: await engine.containers.createExec(call.params.id, config) } };
  }),

  route("POST /exec/:id/start", async (engine, call) => {
    const { id, config } = engine.containers.getExec(call.params.id);
    const request = await call.json<ExecStartRequest>();
    const size = sizeOf(request.ConsoleSize);
    const options = size === undefined ? {} : { terminalSize: size };
    if (request.Detach) {
      const streams = await engine.containers.startExec(id, options);
      streams.detach();
      return { status: 200 };
    }
    const terminal = config.terminal ?? false;
    const detachKeys = parseDetachKeys(config.detachKeys || defaultDetachKeys);
    const streams = await startOrTell(engine, id, options);
    return {
      contentType: terminal ? rawType : multiplexedType,
      hijack: (connection) =>
        carryProcess(connection, streams, { terminal, stdin: config.openStdin ?? false, detachKeys }),
    };
  }),

  route("POST /exec/:id/resize", (engine, { params, query }) => {
    const { rows, columns } = terminalSize(query);
    engine.containers.resizeExec(params.id, rows, columns);
    return {};
  }),

  route("GET /exec/:id/json", (engine, { params }) => ({ json: inspectExec(engine.containers.getExec(params.id)) })),
];

/**
 * What keeps a program from being run is told of on the stream, as Docker does: its client then asks for the exit code, 126 or 127, which it
 * would not learn from an error. Only where there is nothing to run it in the request itself fails.
 */
async function startOrTell(
  engine: EngineFace,
  id: string,
  options: { readonly terminalSize?: readonly [number, number] },
): Promise<ProcessStreams> {
  try {
    return await engine.containers.startExec(id, options);
  } catch (error) {
    if (isOnggiError(error, "not_found") || isOnggiError(error, "conflict")) throw error;
    const data = Buffer.from(`${sentenceOf(error)}\r\n`);
    return {
      output: (async function* () {
        yield { stream: "stdout" as const, data };
      })(),
      writeStdin: async () => {},
      closeStdin: () => {},
      detach: () => {},
    };
  }
}

function parseExec(request: Partial<ExecCreateRequest>): ExecConfig {
  const command = request.Cmd ?? [];
  if (command.length === 0) throw new OnggiError("invalid", "No exec command specified");
  parseDetachKeys(request.DetachKeys ?? "");
  return defined<ExecConfig>({
    command,
    terminal: request.Tty || undefined,
    terminalSize: sizeOf(request.ConsoleSize),
    openStdin: request.AttachStdin || undefined,
    env: request.Env ?? undefined,
    user: request.User || undefined,
    workingDirectory: request.WorkingDir || undefined,
    privileged: request.Privileged || undefined,
    attach: {
      stdin: request.AttachStdin ?? false,
      stdout: request.AttachStdout ?? false,
      stderr: request.AttachStderr ?? false,
    },
    detachKeys: request.DetachKeys || undefined,
  });
}

function inspectExec({ id, containerId, config, running, exitCode, pid }: ExecInfo): ExecInspect {
  const [entrypoint = "", ...words] = config.command;
  return {
    ID: id,
    Running: running,
    ExitCode: exitCode ?? null,
    ProcessConfig: {
      tty: config.terminal ?? false,
      entrypoint,
      arguments: words,
      privileged: config.privileged ?? false,
      ...(config.user === undefined ? {} : { user: config.user }),
    },
    OpenStdin: config.openStdin ?? false,
    OpenStderr: config.attach?.stderr ?? true,
    OpenStdout: config.attach?.stdout ?? true,
    CanRemove: false,
    ContainerID: containerId,
    DetachKeys: config.detachKeys ?? "",
    Pid: pid,
  };
}
