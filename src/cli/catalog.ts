import type { Command } from "./command.ts";

export type Loader = () => Promise<Command>;

/** How help groups the commands that stand alone. */
export type Section = "common" | "container" | "image" | "system";

interface Entry {
  readonly section: Section;
  readonly load: Loader;
}

// Each command is its own module, imported when it is called: a start pays for one only.
const run: Loader = async () => (await import("./run.ts")).run;
const create: Loader = async () => (await import("./create.ts")).create;
const exec: Loader = async () => (await import("./exec.ts")).exec;
const ps: Loader = async () => (await import("./ps.ts")).ps;
const images: Loader = async () => (await import("./images.ts")).images;
const pull: Loader = async () => (await import("./pull.ts")).pull;
const push: Loader = async () => (await import("./push.ts")).push;
const version: Loader = async () => (await import("./version.ts")).version;
const info: Loader = async () => (await import("./info.ts")).info;
const commit: Loader = async () => (await import("./commit.ts")).commit;
const cp: Loader = async () => (await import("./cp.ts")).cp;
const diff: Loader = async () => (await import("./diff.ts")).diff;
const exportContainer: Loader = async () => (await import("./export.ts")).exportContainer;
const importImage: Loader = async () => (await import("./import.ts")).importImage;
const snapshotDiff: Loader = async () => (await import("./snapshot-diff.ts")).snapshotDiff;
const attach: Loader = async () => (await import("./attach.ts")).attach;
const start: Loader = async () => (await import("./start.ts")).start;
const stop: Loader = async () => (await import("./stop.ts")).stop;
const kill: Loader = async () => (await import("./kill.ts")).kill;
const restart: Loader = async () => (await import("./restart.ts")).restart;
const rm: Loader = async () => (await import("./rm.ts")).rm;
const logs: Loader = async () => (await import("./logs.ts")).logs;
const wait: Loader = async () => (await import("./wait.ts")).wait;
const inspect: Loader = async () => (await import("./inspect.ts")).inspect;
const containerInspect: Loader = async () => (await import("./inspect.ts")).containerInspect;
const imageInspect: Loader = async () => (await import("./inspect.ts")).imageInspect;
const top: Loader = async () => (await import("./top.ts")).top;
const stats: Loader = async () => (await import("./stats.ts")).stats;
const pause: Loader = async () => (await import("./pause.ts")).pause;
const unpause: Loader = async () => (await import("./pause.ts")).unpause;
const rename: Loader = async () => (await import("./rename.ts")).rename;
const port: Loader = async () => (await import("./port.ts")).port;
const events: Loader = async () => (await import("./events.ts")).events;
const load: Loader = async () => (await import("./load.ts")).load;
const save: Loader = async () => (await import("./save.ts")).save;
const tag: Loader = async () => (await import("./tag.ts")).tag;
const rmi: Loader = async () => (await import("./rmi.ts")).rmi;
const history: Loader = async () => (await import("./history.ts")).history;
const fromHost: Loader = async () => (await import("./from-host.ts")).fromHost;
const explain: Loader = async () => (await import("./explain.ts")).explain;
const login: Loader = async () => (await import("./login.ts")).login;
const logout: Loader = async () => (await import("./logout.ts")).logout;
const daemon: Loader = async () => (await import("./daemon.ts")).daemon;
const containerPrune: Loader = async () => (await import("./prune.ts")).containerPrune;
const imagePrune: Loader = async () => (await import("./prune.ts")).imagePrune;
const volumeClone: Loader = async () => (await import("./volume-snapshot.ts")).volumeClone;
const volumeCreate: Loader = async () => (await import("./volume.ts")).volumeCreate;
const volumeInspect: Loader = async () => (await import("./inspect.ts")).volumeInspect;
const volumeLs: Loader = async () => (await import("./volume.ts")).volumeLs;
const volumePrune: Loader = async () => (await import("./volume.ts")).volumePrune;
const volumeRm: Loader = async () => (await import("./volume.ts")).volumeRm;
const volumeSnapshot: Loader = async () => (await import("./volume-snapshot.ts")).volumeSnapshot;
const storageBench: Loader = async () => (await import("./storage-bench.ts")).storageBench;
const storageMigrate: Loader = async () => (await import("./storage-migrate.ts")).storageMigrate;
const storageInit: Loader = async () => (await import("./storage-init.ts")).storageInit;
const systemDf: Loader = async () => (await import("./system-df.ts")).systemDf;
const systemCheck: Loader = async () => (await import("./system-check.ts")).systemCheck;
const systemPrune: Loader = async () => (await import("./prune.ts")).systemPrune;

const snapshotCreate: Loader = async () => (await import("./snapshot-create.ts")).snapshotCreate;
const snapshotLs: Loader = async () => (await import("./snapshot-ls.ts")).snapshotLs;
const snapshotRm: Loader = async () => (await import("./snapshot-rm.ts")).snapshotRm;
const snapshotInspect: Loader = async () => (await import("./snapshot-inspect.ts")).snapshotInspect;
const snapshotTree: Loader = async () => (await import("./snapshot-tree.ts")).snapshotTree;
const fork: Loader = async () => (await import("./fork.ts")).fork;
const rollback: Loader = async () => (await import("./rollback.ts")).rollback;

/** The commands that stand alone, in the order in which help shows them. */
export const commands: Readonly<Record<string, Entry>> = {
  run: { section: "common", load: run },
  exec: { section: "common", load: exec },
  ps: { section: "common", load: ps },
  logs: { section: "common", load: logs },
  stop: { section: "common", load: stop },
  rm: { section: "common", load: rm },
  images: { section: "common", load: images },
  explain: { section: "common", load: explain },
  fork: { section: "common", load: fork },
  rollback: { section: "common", load: rollback },
  attach: { section: "container", load: attach },
  commit: { section: "container", load: commit },
  cp: { section: "container", load: cp },
  create: { section: "container", load: create },
  diff: { section: "container", load: diff },
  export: { section: "container", load: exportContainer },
  kill: { section: "container", load: kill },
  pause: { section: "container", load: pause },
  port: { section: "container", load: port },
  rename: { section: "container", load: rename },
  restart: { section: "container", load: restart },
  start: { section: "container", load: start },
  stats: { section: "container", load: stats },
  top: { section: "container", load: top },
  unpause: { section: "container", load: unpause },
  wait: { section: "container", load: wait },
  history: { section: "image", load: history },
  import: { section: "image", load: importImage },
  load: { section: "image", load: load },
  pull: { section: "image", load: pull },
  push: { section: "image", load: push },
  rmi: { section: "image", load: rmi },
  save: { section: "image", load: save },
  tag: { section: "image", load: tag },
  daemon: { section: "system", load: daemon },
  events: { section: "system", load: events },
  info: { section: "system", load: info },
  inspect: { section: "system", load: inspect },
  login: { section: "system", load: login },
  logout: { section: "system", load: logout },
  version: { section: "system", load: version },
};

interface Group {
  readonly summary: string;
  readonly commands: Readonly<Record<string, Loader>>;
  /** Other names, which help leaves out. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** The commands under a noun. */
export const groups: Readonly<Record<string, Group>> = {
  container: {
    summary: "Manage containers",
    commands: {
      attach,
      commit,
      cp,
      create,
      diff,
      exec,
      export: exportContainer,
      inspect: containerInspect,
      kill,
      logs,
      ls: ps,
      pause,
      port,
      prune: containerPrune,
      rename,
      restart,
      rm,
      run,
      start,
      stats,
      stop,
      top,
      unpause,
      wait,
    },
    aliases: { list: "ls", ps: "ls", remove: "rm" },
  },
  image: {
    summary: "Manage images",
    commands: {
      "from-host": fromHost,
      history,
      import: importImage,
      inspect: imageInspect,
      load,
      ls: images,
      prune: imagePrune,
      pull,
      push,
      rm: rmi,
      save,
      tag,
    },
    aliases: { list: "ls", remove: "rm" },
  },
  volume: {
    summary: "Manage volumes",
    commands: {
      clone: volumeClone,
      create: volumeCreate,
      inspect: volumeInspect,
      ls: volumeLs,
      prune: volumePrune,
      rm: volumeRm,
      snapshot: volumeSnapshot,
    },
    aliases: { list: "ls", remove: "rm" },
  },
  snapshot: {
    summary: "Manage snapshots of containers",
    commands: {
      create: snapshotCreate,
      diff: snapshotDiff,
      inspect: snapshotInspect,
      ls: snapshotLs,
      rm: snapshotRm,
      tree: snapshotTree,
    },
    aliases: { list: "ls", remove: "rm" },
  },
  storage: {
    summary: "Prepare and compare storage drivers",
    commands: { bench: storageBench, init: storageInit, migrate: storageMigrate },
    aliases: {},
  },
  system: {
    summary: "Manage Onggi",
    commands: { check: systemCheck, df: systemDf, events, info, prune: systemPrune },
    aliases: {},
  },
};

export type Found =
  | { readonly kind: "command"; readonly path: string; readonly rest: readonly string[]; readonly load: Loader }
  | { readonly kind: "group"; readonly name: string }
  | { readonly kind: "unknown"; readonly path: string };

/** Finds what the first words of a command line name: a command, a noun alone, or nothing. */
export function findCommand(words: readonly string[]): Found {
  const [first = "", second, ...rest] = words;
  const group = own(groups, first);
  if (group === undefined) {
    const entry = own(commands, first);
    if (entry === undefined) return { kind: "unknown", path: first };
    return { kind: "command", path: first, rest: words.slice(1), load: entry.load };
  }
  if (second === undefined || second === "--help" || second === "-h") return { kind: "group", name: first };
  const loader = own(group.commands, own(group.aliases, second) ?? second);
  if (loader === undefined) return { kind: "unknown", path: `${first} ${second}` };
  return { kind: "command", path: `${first} ${second}`, rest, load: loader };
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
