import { execFileSync } from "node:child_process";

/** Another engine that this machine may have, to compare with. */
export type Peer =
  | { readonly name: PeerName; readonly installed: true; readonly version: string }
  | { readonly name: PeerName; readonly installed: false; readonly reason: string };

export type PeerName = keyof typeof probes;

/** A command that ends with 0 where the peer can run a container, and prints its version. */
const probes = {
  docker: ["dockerd", "--version"],
  podman: ["podman", "version", "--format", "{{.Client.Version}}"],
  crun: ["crun", "--version"],
  runc: ["runc", "--version"],
} as const;

/** Looks for one peer. Benches start a dockerd of their own. */
export function findPeer(name: PeerName): Peer {
  const [file, ...args] = probes[name];
  try {
    const output = execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 10_000 });
    return { name, installed: true, version: /\d+(\.\d+)+/.exec(output)?.[0] ?? output.trim() };
  } catch (error) {
    return { name, installed: false, reason: reasonOf(name, error) };
  }
}

/** All peers that are known here. */
export function findPeers(): Peer[] {
  return (Object.keys(probes) as PeerName[]).map(findPeer);
}

function reasonOf(name: string, error: unknown): string {
  const { code, stderr } = error as { code?: string; stderr?: string };
  if (code === "ENOENT") return `${name} is not installed`;
  return stderr?.trim().split("\n").at(-1) || `${name} does not answer`;
}
