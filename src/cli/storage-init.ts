import { resolve } from "node:path";
import type { StorageInitRequest, StorageInitResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { UsageError } from "./usage-error.ts";

export const storageInit = command({
  name: "init",
  summary: "Make what a storage driver needs: a ZFS pool on a file",
  args: "DRIVER",
  arity: [1, 1],
  details: [
    "For who has no disk to spare for ZFS: a pool on a sparse file, which takes room only as it is filled.",
    "The daemon makes it, whatever driver it works with now, and notes it in its data root. Started again with",
    "--storage-driver zfs it keeps images and containers there. Nothing is ever overwritten.",
  ].join("\n"),
  flags: {
    file: flag.string({ help: "File to make the pool in" }),
    size: flag.bytes({ help: "Size that the pool may grow to (64M or more)" }),
    name: flag.string({ help: 'Name of the pool (default "onggi")' }),
  },
  async run({ client, args: [driver = ""], flags, io, print }) {
    if (flags.file === undefined || flags.size === undefined)
      throw new UsageError("onggi: 'onggi storage init' needs --file and --size", 1);
    const body: StorageInitRequest = {
      Driver: driver,
      File: resolve(flags.file),
      SizeBytes: flags.size,
      ...(flags.name === undefined ? {} : { Name: flags.name }),
    };
    const { Pool } = await client.json<StorageInitResponse>({
      method: "POST",
      path: "/onggi/v1/storage/init",
      body,
    });
    print(Pool);
    io.stderr.write(`onggi: start the daemon with --storage-driver ${driver} to use it\n`);
    return 0;
  },
});
