import { daemonEnvironment, daemonNodeFlags } from "../base/daemon-process.ts";
import { command } from "./command.ts";
import { daemonProgram } from "./daemon-start.ts";
import { flag } from "./flag.ts";
import { longName } from "./parse-flags.ts";

export const daemon = command({
  name: "daemon",
  summary: "Run the daemon in the foreground",
  args: "",
  arity: [0, 0],
  flags: {
    bridge: flag.string({ help: 'Name of the bridge (default "onggi0")' }),
    host: flag.string({ short: "H", help: 'Socket to listen on (default "unix://" and RUN-ROOT/api.sock)' }),
    keepBlobs: flag.switch({ help: "Keep images' blobs as they came beside what is unpacked of them" }),
    maxLayerBytes: flag.string({ help: "Refuse a layer that unfolds to more bytes (default 274877906944)" }),
    maxLayerRatio: flag.string({ help: "Refuse a layer that unfolds to more times its size (default 2000)" }),
    maxLayers: flag.string({ help: "Refuse an image of more layers (default 500)" }),
    pidfile: flag.string({ help: "Write the daemon's process ID to this file" }),
    root: flag.string({ help: 'Where images and containers are kept (default "/var/lib/onggi")' }),
    runRoot: flag.string({ help: 'Where sockets are and what a reboot may take (default "/run/onggi")' }),
    storageDriver: flag.string({
      help: "Storage driver to use; onggi info lists all, with the reason where one can't work here",
    }),
    storageOpt: flag.list({ help: "Tell storage drivers something (zfs.fsname=DATASET)" }),
    storageWarnPercent: flag.string({ help: "Warn when so much of the disk or of a limit is used (default 90)" }),
    subnet: flag.string({ help: "Subnet of the bridge (CIDR)" }),
  },
  async run({ flags, host, io }) {
    const { storageOpt, keepBlobs, ...single } = flags;
    const given = Object.entries({ host, ...withoutUndefined(single) });
    const words = given.flatMap(([key, value]) => (value === undefined ? [] : [`--${longName(key)}`, value]));
    if (keepBlobs) words.push("--keep-blobs");
    for (const option of storageOpt) words.push("--storage-opt", option);
    // The daemon takes this process's place: its signals, its terminal, its supervisor.
    process.execve?.(process.execPath, [process.execPath, ...daemonNodeFlags, daemonProgram(), ...words], {
      ...withoutUndefined(io.env),
      ...daemonEnvironment,
    });
    return 1;
  },
});

function withoutUndefined(map: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(map).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
  );
}
