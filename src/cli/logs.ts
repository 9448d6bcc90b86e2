import type { ContainerInspect } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { flag } from "./flag.ts";
import { write } from "./io.ts";
import { Demultiplexer } from "./stdcopy.ts";
import { parseMoment } from "./units.ts";

export const logs = command({
  name: "logs",
  summary: "Fetch the logs of a container",
  args: "CONTAINER",
  arity: [1, 1],
  flags: {
    details: flag.switch({ help: "Show further details of the logs" }),
    follow: flag.switch({ short: "f", help: "Follow log output" }),
    since: flag.string({ help: 'Show what came after a time ("2026-01-02T13:23:37Z") or the last while ("42m")' }),
    tail: flag.string({ short: "n", help: 'Number of lines from the end (default "all")' }),
    timestamps: flag.switch({ short: "t", help: "Show when each line came" }),
    until: flag.string({
      help: 'Show what came before a time ("2026-01-02T13:23:37Z") or before the last while ("42m")',
    }),
  },
  async run({ client, args: [key = ""], flags, io }) {
    const nowMs = Date.now();
    const moment = (text: string | undefined) => (text === undefined ? undefined : parseMoment(text, nowMs));
    const query = {
      stdout: true,
      stderr: true,
      follow: flags.follow || undefined,
      timestamps: flags.timestamps || undefined,
      details: flags.details || undefined,
      tail: flags.tail,
      since: moment(flags.since),
      until: moment(flags.until),
    };
    const { Id, Config } = await client.json<ContainerInspect>({ method: "GET", path: containerPath(key, "json") });
    const answer = await client.open({ method: "GET", path: containerPath(Id, "logs"), query });
    const frames = new Demultiplexer(
      () => io.stdout,
      () => io.stderr,
    );
    for await (const chunk of answer) {
      if (Config.Tty) await write(io.stdout, chunk);
      else await frames.push(chunk);
    }
    if (frames.error !== "")
      throw new OnggiError("unavailable", `the daemon could not read the log: ${frames.error.trim()}`);
    return 0;
  },
});
