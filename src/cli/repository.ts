/** The last colon is a tag's unless a slash follows: then it is a port's. */
export function splitName(name: string): { readonly repo: string; readonly tag: string | undefined } {
  const colon = name.lastIndexOf(":");
  if (colon < 0 || name.includes("/", colon)) return { repo: name, tag: undefined };
  return { repo: name.slice(0, colon), tag: name.slice(colon + 1) };
}
