import { OnggiError } from "../base/error.ts";
import { encodeProgram } from "../program/encode.ts";
import { noSteps, type Op, type Program } from "../program/op.ts";
import { Connection } from "./connection.ts";
import { errnoName, errnoSentence } from "./errno.ts";
import type { LaunchOptions, Monitor } from "./executor.ts";
import { type Describe, stepFailure } from "./failed-step.ts";
import { type Frame, frameType, maxPayloadBytes } from "./frames.ts";
import { ConnectedMonitor, decodeIdentity, type TeardownFailures } from "./monitor.ts";
import { StepFailure } from "./step-failure.ts";

const parts = ["host", "child", "teardown"] as const;
const SIGKILL = 9;

/** Sends a program over a fresh connection, whose other side becomes a monitor. */
export async function launch(
  open: () => Promise<Connection>,
  program: Program,
  describe: Describe,
  { subscribe = false, signal }: LaunchOptions = {},
): Promise<Monitor> {
  signal?.throwIfAborted();
  const payload = encodeProgram(program);
  if (payload.length > maxPayloadBytes) throw new OnggiError("invalid", "the program is larger than 64 MiB");
  const connection = await open();
  const started = Promise.withResolvers<ConnectedMonitor>();
  let monitor: ConnectedMonitor | undefined;
  // Let go of once it runs: hundreds of steps, of which only the teardown may still fail.
  const starting: { program: Program | undefined } = { program };
  const failures = teardownFailures(program.teardown, describe);
  connection.listen(
    (frame) => {
      if (monitor !== undefined) return monitor.receive(frame);
      if (frame.type !== frameType.started) return started.reject(failureOf(starting.program, frame, describe));
      monitor = new ConnectedMonitor(connection, decodeIdentity(frame.payload), subscribe, failures);
      starting.program = undefined;
      started.resolve(monitor);
    },
    () => {
      started.reject(
        new OnggiError("unavailable", "the executor broke off while it started a process", { hint: "Try again." }),
      );
      monitor?.lost();
    },
  );
  connection.send(frameType.launch, payload, subscribe ? 1 : 0);
  return settle(started.promise, connection, signal);
}

/** An abort kills the process as soon as it is there, so that nothing is left behind, and only then rejects. */
async function settle(
  started: Promise<Monitor>,
  connection: Connection,
  signal: AbortSignal | undefined,
): Promise<Monitor> {
  let monitor: Monitor;
  try {
    monitor = await started;
  } catch (error) {
    connection.close();
    throw error;
  }
  if (signal?.aborted !== true) return monitor;
  monitor.kill(SIGKILL);
  const end = monitor.subscribe({ onData() {} });
  await monitor.tornDown.catch(() => {});
  end();
  monitor.disconnect();
  throw signal.reason;
}

/** Connects to a monitor's own socket; `undefined` when none listens there any more. */
export async function reconnect(socketPath: string): Promise<Monitor | undefined> {
  let connection: Connection;
  try {
    connection = await Connection.open(socketPath);
  } catch {
    return undefined;
  }
  const hello = Promise.withResolvers<ConnectedMonitor | undefined>();
  let monitor: ConnectedMonitor | undefined;
  connection.listen(
    (frame) => {
      if (monitor !== undefined) return monitor.receive(frame);
      if (frame.type !== frameType.hello) return connection.close();
      // Its program is known to whoever sent it; here a failed step of the teardown can only be told by its number.
      monitor = new ConnectedMonitor(connection, decodeIdentity(frame.payload), false, (rows) => rows.map(unknownStep));
      hello.resolve(monitor);
    },
    () => {
      hello.resolve(undefined);
      monitor?.lost();
    },
  );
  return hello.promise;
}

function failureOf(program: Program = noSteps, { type, payload }: Frame, describe: Describe): Error {
  if (type !== frameType.failed) return new OnggiError("internal", `the executor answered with message ${type}`);
  const part = parts[payload.readUInt32LE(0)] ?? "host";
  const at = { ops: program[part], index: payload.readUInt32LE(4), errno: payload.readInt32LE(8) };
  return stepFailure(part, at, describe);
}

function teardownFailures(ops: readonly Op[], describe: Describe): TeardownFailures {
  return (rows) =>
    rows
      .map((row) => stepFailure("teardown", { ops, ...row }, describe))
      .filter((failure) => failure instanceof StepFailure);
}

function unknownStep({ index, errno }: { index: number; errno: number }): StepFailure {
  const name = errnoName(errno);
  const message = `step ${index} of the teardown failed: ${errnoSentence(errno)} (${name})`;
  return new StepFailure({ part: "teardown", index, op: undefined, errno: name }, message);
}
