/**
 * What whoever starts the daemon adds to its environment.
 *
 * One arena of glibc's malloc instead of one a thread: Node's thread pool would spread buffers over many, of which each keeps what was freed in
 * it; mallopt(3), `M_ARENA_MAX`.
 */
export const daemonEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1" };
