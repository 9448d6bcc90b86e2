/** How whoever starts the daemon starts it, so that it stays small; measured by `npm run bench memory`. */

/**
 * One arena of glibc's malloc instead of one a thread: Node's thread pool would spread buffers over many, of which each keeps what was freed in
 * it; mallopt(3), `M_ARENA_MAX`.
 */
export const daemonEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1" };

/**
 * Flags of Node: a young generation of 2 MiB instead of 16, since the daemon makes few objects, and those that it keeps it keeps long; and code that is small
 * rather than quick, which saves 2 MiB and costs a container's life nothing that can be measured.
 */
export const daemonNodeFlags: readonly string[] = ["--max-semi-space-size=2", "--optimize-for-size"];
