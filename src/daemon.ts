/** The daemon: opens the engine on its data root and serves the API until it is told to end. Containers go on without it. */
import { rmSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseHosts, type UnixHost } from "./api/listen.ts";
import { ApiServer } from "./api/server.ts";
import { diskError, writeFileAtomic } from "./base/atomic-file.ts";
import { isOnggiError, messageOf, OnggiError } from "./base/error.ts";
import { collectWhenIdle } from "./base/idle-memory.ts";
import { Engine, type EngineOptions } from "./engine/open.ts";
import { version } from "./engine/version.ts";

const usage = `usage: daemon [--root DIR] [--run-root DIR] [--host unix://PATH[,…]] [--bridge NAME] [--subnet CIDR]
              [--storage-driver NAME] [--storage-opt NAME=VALUE]… [--storage-warn-percent N] [--keep-blobs]
              [--max-layer-bytes N] [--max-layer-ratio N] [--max-layers N] [--pidfile FILE]`;

interface Settings {
  readonly root: string;
  readonly runRoot: string;
  readonly hosts: readonly UnixHost[];
  readonly bridge: string | undefined;
  readonly subnet: string | undefined;
  readonly storageDriver: string | undefined;
  readonly storageOptions: Readonly<Record<string, string>>;
  readonly storageWarnPercent: number | undefined;
  readonly keepBlobs: boolean;
  readonly imageLimits: NonNullable<EngineOptions["imageLimits"]>;
  readonly pidFile: string | undefined;
  /** The storage driver to move over to, instead of serving. */
  readonly migrateTo: string | undefined;
}

function parseSettings(argv: readonly string[]): Settings {
  try {
    const text = { type: "string" } as const;
    const options = {
      root: text,
      "run-root": text,
      host: { ...text, short: "H" },
      bridge: text,
      subnet: text,
      "storage-driver": text,
      "storage-opt": { ...text, multiple: true },
      "storage-warn-percent": text,
      "keep-blobs": { type: "boolean" },
      "max-layer-bytes": text,
      "max-layer-ratio": text,
      "max-layers": text,
      pidfile: text,
      "migrate-to": text,
    } as const;
    const { values } = parseArgs({ args: [...argv], options, strict: true });
    const runRoot = values["run-root"] ?? "/run/onggi";
    return {
      root: values.root ?? "/var/lib/onggi",
      runRoot,
      hosts: parseHosts(values.host ?? `unix://${runRoot}/api.sock`),
      bridge: values.bridge,
      subnet: values.subnet,
      storageDriver: values["storage-driver"],
      storageOptions: optionsOf(values["storage-opt"] ?? []),
      storageWarnPercent: percentOf(values["storage-warn-percent"]),
      keepBlobs: values["keep-blobs"] ?? false,
      imageLimits: {
        ...limitOf("maxLayerBytes", "max-layer-bytes", values["max-layer-bytes"]),
        ...limitOf("maxRatio", "max-layer-ratio", values["max-layer-ratio"]),
        ...limitOf("maxLayers", "max-layers", values["max-layers"]),
      },
      pidFile: values.pidfile,
      migrateTo: values["migrate-to"],
    };
  } catch (error) {
    if (isOnggiError(error)) throw error;
    throw new OnggiError("invalid", messageOf(error), { hint: usage, cause: error });
  }
}

function optionsOf(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, key, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
      if (key !== undefined && value !== undefined) return [key, value] as const;
      throw new OnggiError("invalid", `"${text}" is no option for --storage-opt`, { hint: "Give NAME=VALUE." });
    }),
  );
}

function percentOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const percent = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && percent > 0 && percent <= 100) return percent;
  throw new OnggiError("invalid", `"${text}" is no share in percent for --storage-warn-percent`, {
    hint: "Give a number above 0, at most 100.",
  });
}

function limitOf(key: string, flag: string, text: string | undefined): Readonly<Record<string, number>> {
  if (text === undefined) return {};
  const limit = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(limit) && limit > 0) return { [key]: limit };
  throw new OnggiError("invalid", `"${text}" is no number for --${flag}`, { hint: "Give a whole number above 0." });
}

async function main(): Promise<void> {
  const ended = endSignal();
  const settings = parseSettings(process.argv.slice(2));
  const { root, runRoot, hosts, bridge, subnet, storageDriver, storageOptions, storageWarnPercent, pidFile } = settings;
  const engine = await Engine.open({
    root,
    runRoot,
    ...(bridge === undefined ? {} : { bridge }),
    ...(subnet === undefined ? {} : { subnet }),
    ...(storageDriver === undefined ? {} : { storageDriver }),
    storageOptions,
    keepBlobs: settings.keepBlobs,
    imageLimits: settings.imageLimits,
    ...(storageWarnPercent === undefined ? {} : { storageWarnPercent }),
  });
  if (settings.migrateTo !== undefined) {
    await engine.migrateStorage(settings.migrateTo, (line) => process.stdout.write(`${line}\n`));
    process.stdout.write(`${root} has the storage driver ${settings.migrateTo} now\n`);
    return;
  }
  const stopCollecting = collectWhenIdle();
  const server = new ApiServer(engine, { version, log });
  process.on("uncaughtException", (error) => log(`uncaught: ${error.stack ?? error.message}`));
  process.on("unhandledRejection", (error) =>
    log(`unhandled: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
  );
  void logTroubles(engine);
  try {
    for (const host of hosts) await server.listen(host);
    if (pidFile !== undefined) await writeFileAtomic(pidFile, `${process.pid}\n`, 0o644);
    log(`onggi ${version} serves ${hosts.map(({ path }) => `unix://${path}`).join(", ")} on ${root}`);
    log(`ends on ${await ended}; containers go on`);
  } finally {
    stopCollecting();
    await server.close();
    await engine.close();
    if (pidFile !== undefined) rmSync(pidFile, { force: true });
  }
}

/** What befell the engine itself, which nobody may have listened for. */
async function logTroubles({ events }: Engine): Promise<void> {
  for await (const { type, action, attributes } of events.subscribe({})) {
    if (type !== "daemon") continue;
    const reason = attributes.reason ?? action;
    log(action === "spawner-restart" ? `${reason}; containers go on, and it was started again` : reason);
  }
}

/** The first signal to end. A second one ends at once, as the default does. */
function endSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals) => {
      process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
      resolve(signal);
    };
    process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  });
}

function log(line: string): void {
  try {
    writeSync(2, `${new Date().toISOString()} ${line}\n`);
  } catch {
    // A disk that is full, or a reader that is gone: no reason to end, and none to be logged.
  }
}

try {
  await main();
  process.exit(0);
} catch (cause) {
  const error = diskError(cause, "a file of the engine's");
  const isForeseen = isOnggiError(error) && error.code !== "internal";
  const text = isForeseen ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`onggi: ${text}\n`);
  if (isForeseen && error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
  process.exit(1);
}
