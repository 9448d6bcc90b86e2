import { OnggiError } from "../base/error.ts";

/** What an image is built for, in Go's words: `linux`, `amd64`, and `v8` and the like where there are variants. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const architectures: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  x64: { architecture: "amd64" },
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
  ia32: { architecture: "386" },
  i386: { architecture: "386" },
};

/** The platform of a process, from `process.arch`. */
export function platformOf(arch: string): Platform {
  return { os: "linux", ...(architectures[arch] ?? { architecture: arch }) };
}

/**
 * Reads `os/architecture[/variant]`, `architecture` or `os`.
 *
 * @throws OnggiError `invalid`
 */
export function parsePlatform(text: string, host: Platform): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part))) {
    throw new OnggiError("invalid", `"${text}": unknown operating system or architecture: invalid argument`, {
      hint: "A platform is written os/architecture[/variant], for example linux/arm64.",
    });
  }
  const [first = "", second, variant] = parts;
  if (second === undefined) return first === "linux" ? host : { os: "linux", ...normal(first) };
  return { os: first, ...normal(second), ...(variant === undefined ? {} : { variant }) };
}

/** `linux/arm64/v8`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join("/");
}

/** Whether what was built for `offered` runs on `wanted`: an unnamed variant of arm64 is v8, of arm v7. */
export function isPlatformMatch(offered: Platform, wanted: Platform): boolean {
  return (
    offered.os === wanted.os &&
    offered.architecture === wanted.architecture &&
    (!wanted.variant || variantOf(offered) === variantOf(wanted))
  );
}

function variantOf({ architecture, variant }: Platform): string {
  if (variant) return variant;
  return architecture === "arm64" ? "v8" : architecture === "arm" ? "v7" : "";
}

function normal(architecture: string): { architecture: string; variant?: string } {
  return architectures[architecture] ?? { architecture };
}
