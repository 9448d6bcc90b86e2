import { OnggiError } from "../../../base/error.ts";
import type { Seccomp, SeccompAction, SeccompRule } from "../../../oci/runtime-spec.ts";
import type { Architecture } from "../host-facts.ts";

/** A seccomp profile as Docker's users write it: rules may depend on capabilities, architecture and kernel. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[];
  readonly flags?: readonly string[];
  readonly syscalls?: readonly ProfileRule[];
}

export interface ProfileRule extends Omit<SeccompRule, "names" | "args" | "errnoRet"> {
  readonly names?: readonly string[];
  /** The old spelling, of one call. */
  readonly name?: string;
  readonly args?: SeccompRule["args"] | null;
  readonly errnoRet?: number | null;
  readonly includes?: RuleFilter;
  readonly excludes?: RuleFilter;
}

interface RuleFilter {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
  readonly minKernel?: string;
}

/** What a profile's conditions are about. */
export interface ProfileFacts {
  readonly architecture: Architecture;
  readonly kernel: readonly [major: number, minor: number];
  /** Names of the bounding set. */
  readonly capabilities: readonly string[];
}

const goNames: Readonly<Record<Architecture, string>> = { x86_64: "amd64", aarch64: "arm64" };
const ociNames: Readonly<Record<Architecture, string>> = { x86_64: "SCMP_ARCH_X86_64", aarch64: "SCMP_ARCH_AARCH64" };

/**
 * Reads the JSON of a profile, in Docker's format or the runtime-spec's.
 * @throws OnggiError `invalid` with what is wrong
 */
export function parseProfile(json: string): SeccompProfile {
  let value: unknown;
  try {
    // Values of arguments go up to 2^64, further than JavaScript's numbers are exact.
    value = JSON.parse(json, exactValue as (key: string, value: unknown) => unknown);
  } catch (cause) {
    throw new OnggiError("invalid", "decoding seccomp profile failed: it is not JSON", { cause });
  }
  if (
    typeof value !== "object" ||
    value === null ||
    !("defaultAction" in value) ||
    typeof value.defaultAction !== "string"
  ) {
    throw new OnggiError("invalid", "decoding seccomp profile failed: it has no defaultAction", {
      hint: "Give a profile in Docker's format or the OCI runtime specification's.",
    });
  }
  const profile = value as SeccompProfile;
  if (
    profile.architectures !== undefined &&
    profile.archMap !== undefined &&
    profile.architectures.length > 0 &&
    profile.archMap.length > 0
  ) {
    throw new OnggiError(
      "invalid",
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  for (const rule of profile.syscalls ?? []) {
    if (rule.name !== undefined && rule.names !== undefined && rule.names.length > 0) {
      throw new OnggiError(
        "invalid",
        "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
      );
    }
    if (typeof rule.action !== "string") throw new OnggiError("invalid", "a rule of the seccomp profile has no action");
  }
  return profile;
}

/** A reviver with its third argument, which TypeScript's own types don't know yet. */
function exactValue(key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const isValue = (key === "value" || key === "valueTwo") && typeof value === "number";
  return isValue && !Number.isSafeInteger(value) ? BigInt(context?.source ?? Math.trunc(value)) : value;
}

/** Decides a profile's conditions for one container. */
export function resolveProfile(profile: SeccompProfile, facts: ProfileFacts): Seccomp {
  const own = profile.archMap?.find(({ architecture }) => architecture === ociNames[facts.architecture]);
  const architectures = own === undefined ? profile.architectures : [own.architecture, ...(own.subArchitectures ?? [])];
  const syscalls = (profile.syscalls ?? []).filter((rule) => applies(rule, facts)).map(plainRule);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(architectures === undefined ? {} : { architectures }),
    ...(profile.flags === undefined ? {} : { flags: profile.flags }),
    syscalls,
  };
}

function applies({ includes = {}, excludes = {} }: ProfileRule, facts: ProfileFacts): boolean {
  const hasCap = (name: string) => facts.capabilities.includes(name);
  const arch = goNames[facts.architecture];
  if (includes.caps?.every(hasCap) === false) return false;
  if (includes.arches !== undefined && includes.arches.length > 0 && !includes.arches.includes(arch)) return false;
  if (includes.minKernel !== undefined && !isAtLeast(facts.kernel, includes.minKernel)) return false;
  if (excludes.caps?.some(hasCap) === true) return false;
  if (excludes.arches?.includes(arch) === true) return false;
  return excludes.minKernel === undefined || !isAtLeast(facts.kernel, excludes.minKernel);
}

function isAtLeast([major, minor]: readonly [number, number], wanted: string): boolean {
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function plainRule({ name, names = [], action, args, errnoRet }: ProfileRule): SeccompRule {
  return {
    names: name === undefined ? names : [name],
    action,
    ...(errnoRet === undefined || errnoRet === null ? {} : { errnoRet }),
    ...(args === undefined || args === null ? {} : { args }),
  };
}
