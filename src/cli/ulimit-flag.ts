import { OnggiError } from "../base/error.ts";

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

const names = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

/** `nofile=1024:2048` or `nofile=1024`, for both; -1 is unlimited. */
export function parseUlimit(text: string): Ulimit {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null) throw new OnggiError("invalid", `invalid ulimit argument: ${text}`);
  const [, name = "", softText = "", hardText = softText] = match;
  if (!names.has(name)) throw new OnggiError("invalid", `invalid ulimit type: ${name}`);
  const [soft, hard] = [Number(softText), Number(hardText)];
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw new OnggiError(
      "invalid",
      `ulimit soft limit must be less than or equal to hard limit: ${softText} > ${hardText}`,
    );
  }
  return { Name: name, Soft: soft, Hard: hard };
}
