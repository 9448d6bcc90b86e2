import type { LinuxResources } from "../oci/runtime-spec.ts";

export type DeviceRule = NonNullable<LinuxResources["devices"]>[number];

/** What a container gets of Docker: no device but these, though any may be made with mknod. */
export const defaultDeviceRules: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...[
    [1, 3], // null
    [1, 5], // zero
    [1, 7], // full
    [1, 8], // random
    [1, 9], // urandom
    [5, 0], // tty
    [5, 1], // console
    [5, 2], // ptmx
  ].map(([major = 0, minor = 0]) => ({ allow: true, type: "c", major, minor, access: "rwm" })),
  { allow: true, type: "c", major: 136, access: "rwm" }, // pts
];

/** What a container's rules come to: all devices, the list that nearly all containers have, or one of its own. */
export function deviceChoice(
  rules: readonly DeviceRule[] | undefined,
  usual: readonly DeviceRule[],
): "inherit" | "all" | "usual" | "own" {
  if (rules === undefined || rules.length === 0) return "inherit";
  const last = rules.at(-1);
  if (last?.allow && isAny(last)) return "all";
  return listText(rules) === listText(usual) ? "usual" : "own";
}

/** The writes to a v1 devices cgroup that make these rules, in their order. */
export function deviceWrites(
  rules: readonly DeviceRule[],
): readonly { readonly file: "devices.allow" | "devices.deny"; readonly value: string }[] {
  return rules.map((rule) => ({ file: rule.allow ? "devices.allow" : "devices.deny", value: ruleText(rule) }));
}

function ruleText(rule: DeviceRule): string {
  if (isAny(rule)) return "a";
  const number = (value: number | undefined) => (value === undefined || value < 0 ? "*" : String(value));
  return `${rule.type ?? "a"} ${number(rule.major)}:${number(rule.minor)} ${rule.access ?? "rwm"}`;
}

function isAny({ type = "a", major, minor, access = "rwm" }: DeviceRule): boolean {
  const every = (value: number | undefined) => value === undefined || value < 0;
  return type === "a" && every(major) && every(minor) && [..."rwm"].every((letter) => access.includes(letter));
}

/** The same text for lists that allow the same; what comes after the first `deny all` may stand in any order. */
function listText(rules: readonly DeviceRule[]): string {
  const [first, ...rest] = rules.map((rule) => `${rule.allow} ${ruleText(rule)}`);
  const onlyAllows = rules.slice(1).every((rule) => rule.allow);
  return [first, ...(onlyAllows ? rest.toSorted() : rest)].join("\n");
}
