import { OnggiError } from "../../base/error.ts";

const units: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes of a size such as `10G`. @throws OnggiError `invalid` */
export function parseSize(text: string): number {
  const [, digits = "", unit = ""] = /^(\d+)([KMGT]?)I?B?$/.exec(text.toUpperCase()) ?? [];
  const factor = units[unit];
  if (digits === "" || factor === undefined) {
    throw new OnggiError("invalid", `"${text}" is no size`, { hint: "Write it as 10G or 512M." });
  }
  return Number(digits) * factor;
}
