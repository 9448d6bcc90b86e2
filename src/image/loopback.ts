/** A registry that only this host can reach may speak plain HTTP, as with Docker; no proxy stands before it. */
export function isLoopback(domain: string): boolean {
  const host = domain.replace(/:\d+$/, "");
  return host === "localhost" || /^127(\.\d{1,3}){3}$/.test(host) || host === "[::1]";
}
