import { formatPlatform, isPlatformMatch, type Platform } from "../oci/platform.ts";

/** What a user is told whose image was built for other machines: it may fail to start, or be emulated. */
export function platformWarnings(image: Platform | undefined, host: Platform): readonly string[] {
  if (image === undefined || isPlatformMatch(image, host)) return [];
  return [
    `The requested image's platform (${formatPlatform(image)}) does not match the detected host platform (${formatPlatform(host)}) and no specific platform was requested`,
  ];
}
