import { daemonEnvironment, daemonNodeFlags } from "../base/daemon-process.ts";
import { command } from "./command.ts";
import { daemonProgram } from "./daemon-start.ts";
import { flag } from "./flag.ts";
import { UsageError } from "./usage-error.ts";

export const storageMigrate = command({
  name: "migrate",
  summary: "Move a data root over to another storage driver",
  args: "",
  arity: [0, 0],
  details: [
    "Stop all containers and end the daemon first: nobody may use the root meanwhile. Layers are made anew of their",
    "tars, whose digests are checked; snapshots and containers' files are copied. The old driver's data is removed when",
    "all is there and on the disk, so there must be room for both. What is cut off is taken back, or finished, by the",
    "next start. The daemon finds the new driver by itself; a --storage-driver that it is started with has to change.",
  ].join("\n"),
  flags: {
    root: flag.string({ help: 'The data root (default "/var/lib/onggi")' }),
    runRoot: flag.string({ help: 'The run root (default "/run/onggi")' }),
    bridge: flag.string({ help: 'Name of the bridge (default "onggi0")' }),
    to: flag.string({ help: "The driver to use from now on" }),
  },
  async run({ flags: { root, runRoot, bridge, to }, io }) {
    if (to === undefined) throw new UsageError("onggi: 'onggi storage migrate' needs --to DRIVER", 1);
    const given = { root, "run-root": runRoot, bridge, "migrate-to": to };
    const words = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
    const environment = Object.entries({ ...io.env, ...daemonEnvironment }).filter(([, value]) => value !== undefined);
    // The daemon's program does it in this process's place: it alone may open a data root.
    process.execve?.(
      process.execPath,
      [process.execPath, ...daemonNodeFlags, daemonProgram(), ...words],
      Object.fromEntries(environment) as Record<string, string>,
    );
    return 1;
  },
});
