import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Firewalls of the host that drop what containers send or receive.
 *
 * A packet must pass every table's chains, so an accept of ours can't overrule a drop of theirs; all that's left is to say so. Asks `nft`,
 * where it is installed, and takes as long: not for the hot path. Only policies are seen, not rules.
 */
export async function forwardWarnings(bridge: string): Promise<readonly string[]> {
  try {
    const { stdout } = await run("nft", ["-n", "list", "ruleset"], { timeout: 5000, maxBuffer: 64 << 20 });
    return droppingChains(stdout)
      .filter(({ text }) => !text.includes(`"${bridge}"`))
      .map(
        ({ name }) =>
          `chain ${name} of this host drops forwarded packets by default: containers on ${bridge} reach nothing and ` +
          `their published ports can't be reached from outside; let ${bridge} through there, in both directions`,
      );
  } catch {
    return [];
  }
}

/** Chains on the forward hook, of `nft list ruleset`, with policy drop. */
export function droppingChains(ruleset: string): readonly { readonly name: string; readonly text: string }[] {
  const chains: { name: string; text: string }[] = [];
  let table = "";
  for (const block of ruleset.split(/^(?=table )|(?=^\tchain )/m)) {
    table = /^table (\S+ \S+) \{/.exec(block)?.[1] ?? table;
    const chain = /^\tchain (\S+) \{/.exec(block)?.[1];
    const isForward = /type filter hook forward priority [^;]+; policy drop;/.test(block);
    if (chain !== undefined && isForward && !table.startsWith("bridge "))
      chains.push({ name: `${table} ${chain}`, text: block });
  }
  return chains;
}
