import { OnggiError } from "../base/error.ts";
import { type FlagValues, flag } from "./flag.ts";
import { parseMount } from "./mount-flag.ts";
import { parseUlimit } from "./ulimit-flag.ts";

function streamName(text: string): string {
  const name = text.toLowerCase();
  if (["stdin", "stdout", "stderr"].includes(name)) return name;
  throw new OnggiError("invalid", "valid streams are STDIN, STDOUT and STDERR");
}

const refused = (help: string) => flag.string({ help, hidden: true });

/** Docker's flags for what Onggi hasn't: known, so that they can be refused by name, with the way round. */
export const unsupportedFlags = {
  gpus: refused("Hand in the devices with --device."),
  deviceCgroupRule: refused("Name the devices with --device."),
  healthCmd: refused("Onggi runs no health checks; run one with 'onggi exec'."),
  ip: refused("Addresses are given out by the network."),
  ip6: refused("Addresses are given out by the network."),
  isolation: refused("Leave it out."),
  kernelMemory: refused("Kernel memory counts in --memory."),
  link: refused("Reach the other container by its address."),
  macAddress: refused("Addresses are given out by the network."),
  networkAlias: refused("Reach the container by its address."),
  userns: refused("Leave it out."),
};

/** What a container is made from: the flags that `run`, `create` and `explain run` share. */
export const createFlags = {
  ...unsupportedFlags,
  addHost: flag.list({ help: "Add a line to /etc/hosts (host:ip)" }),
  annotation: flag.map({ help: "Add an annotation to the container" }),
  attach: flag.listOf({ short: "a", help: "Attach to STDIN, STDOUT or STDERR" }, streamName),
  blkioWeight: flag.integer({ help: "Relative share of block I/O, 10 to 1000" }),
  capAdd: flag.list({ help: "Add Linux capabilities" }),
  capDrop: flag.list({ help: "Drop Linux capabilities" }),
  cgroupParent: flag.string({ help: "Parent cgroup of the container" }),
  cgroupns: flag.string({ help: "Cgroup namespace to use (host|private)" }),
  cidfile: flag.string({ help: "Write the container's ID to this file" }),
  cpuPeriod: flag.integer({ help: "Length of a CPU period in microseconds" }),
  cpuQuota: flag.integer({ help: "CPU time in each period in microseconds" }),
  cpuShares: flag.integer({ short: "c", help: "CPU shares (relative weight)" }),
  cpus: flag.cpus({ help: "Number of CPUs, such as 0.2" }),
  cpusetCpus: flag.string({ help: "CPUs to run on (0-3, 0,1)" }),
  cpusetMems: flag.string({ help: "Memory nodes to use (0-3, 0,1)" }),
  device: flag.list({ help: "Add a device of the host (HOST[:CONTAINER[:rwm]])" }),
  disableContentTrust: flag.switch({ initial: true, help: "Accepted for Docker's sake", hidden: true }),
  dns: flag.list({ help: "Set DNS servers" }),
  dnsOption: flag.list({ help: "Set DNS options", aliases: ["dns-opt"] }),
  dnsSearch: flag.list({ help: "Set DNS search domains" }),
  domainname: flag.string({ help: "NIS domain name of the container" }),
  entrypoint: flag.string({ help: "Replace the image's entry point" }),
  env: flag.list({ short: "e", help: "Set environment variables" }),
  envFile: flag.list({ help: "Read environment variables from a file" }),
  expose: flag.list({ help: "Expose a port or a range of ports" }),
  groupAdd: flag.list({ help: "Join further groups" }),
  hostname: flag.string({ short: "h", help: "Host name of the container" }),
  init: flag.switch({ help: "Run an init inside that forwards signals and reaps processes" }),
  interactive: flag.switch({ short: "i", help: "Keep STDIN open even if not attached" }),
  ipc: flag.string({ help: "IPC namespace to use" }),
  label: flag.list({ short: "l", help: "Set metadata on the container" }),
  labelFile: flag.list({ help: "Read labels from a file" }),
  logDriver: flag.string({ help: "Logging driver of the container" }),
  logOpt: flag.map({ help: "Options of the logging driver" }),
  memory: flag.bytes({ short: "m", help: "Memory limit" }),
  memoryReservation: flag.bytes({ help: "Memory to keep when the host runs short" }),
  memorySwap: flag.bytesOrUnlimited({ help: "Limit of memory and swap together, -1 for unlimited swap" }),
  memorySwappiness: flag.integer({ help: "How eagerly its memory is swapped out (0 to 100)" }),
  mount: flag.listOf({ help: "Attach a file system (type=volume|bind|tmpfs,source=…,target=…)" }, parseMount),
  name: flag.string({ help: "Name of the container" }),
  network: flag.string({ help: "Network to use (bridge|none|host|container:ID)", aliases: ["net"] }),
  noHealthcheck: flag.switch({ help: "Accepted: Onggi runs no health checks", hidden: true }),
  oomKillDisable: flag.switch({ help: "Let the container wait instead of killing it when memory runs out" }),
  oomScoreAdj: flag.integer({ help: "How eagerly the host's OOM killer takes it (-1000 to 1000)" }),
  pid: flag.string({ help: "PID namespace to use" }),
  pidsLimit: flag.integer({ help: "Most processes at a time, -1 for unlimited" }),
  platform: flag.string({ help: "Platform of the image (os/arch)" }),
  privileged: flag.switch({ help: "Give all rights to the container" }),
  publish: flag.list({ short: "p", help: "Publish a port on the host ([[IP:]HOST:]CONTAINER[/udp])" }),
  publishAll: flag.switch({ short: "P", help: "Publish all exposed ports on free ports of the host" }),
  pull: flag.string({ help: 'Pull the image before ("always", "missing", "never")' }),
  quiet: flag.switch({ short: "q", help: "No output while pulling" }),
  readOnly: flag.switch({ help: "Make the container's root read-only" }),
  restart: flag.string({ help: "When to start again (no|always|unless-stopped|on-failure[:N])" }),
  rm: flag.switch({ help: "Remove the container when it exits" }),
  runtime: flag.string({ help: "Runtime to use", hidden: true }),
  securityOpt: flag.list({ help: "Security options (seccomp=FILE|unconfined, no-new-privileges, …)" }),
  shmSize: flag.bytes({ help: "Size of /dev/shm" }),
  stopSignal: flag.string({ help: "Signal that stops the container" }),
  stopTimeout: flag.integer({ help: "Seconds to wait before killing it" }),
  storageOpt: flag.map({ help: "Limit what it may write (size=2G, inodes=100k)" }),
  sysctl: flag.map({ help: "Kernel parameters of its namespaces" }),
  tmpfs: flag.list({ help: "Mount a tmpfs (PATH[:OPTIONS])" }),
  tty: flag.switch({ short: "t", help: "Allocate a pseudo-TTY" }),
  ulimit: flag.listOf({ help: "Resource limits (NAME=SOFT[:HARD])", placeholder: "ulimit" } as const, parseUlimit),
  user: flag.string({ short: "u", help: "User name or UID (<name|uid>[:<group|gid>])" }),
  uts: flag.string({ help: "UTS namespace to use" }),
  volume: flag.list({
    short: "v",
    help: "Mount a volume, or a folder or file of the host (VOLUME|HOST:CONTAINER[:ro])",
  }),
  volumeDriver: flag.string({ help: 'Driver of volumes ("local", the only one)', hidden: true }),
  volumesFrom: flag.list({ help: "Mount what another container has mounted (CONTAINER[:ro])" }),
  workdir: flag.string({ short: "w", help: "Working directory inside" }),
};

export type CreateFlags = FlagValues<typeof createFlags>;

/** What only `run` knows. */
export const runFlags = {
  ...createFlags,
  detach: flag.switch({ short: "d", help: "Run in the background and print the container's ID" }),
  detachKeys: flag.string({ help: 'Keys that detach (default "ctrl-p,ctrl-q")' }),
  sigProxy: flag.switch({ initial: true, help: "Hand received signals on to the process (default true)" }),
};
