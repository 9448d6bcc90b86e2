/* syscalls.h - kernel interfaces that the C library's headers may not know yet, under names that can't clash with it */
#pragma once
#include <stdint.h>
#include <sys/syscall.h>

/* From 424 on, system calls have the same number on every architecture. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#endif
#ifndef SYS_fsconfig
#define SYS_fsconfig 431
#endif
#ifndef SYS_fsmount
#define SYS_fsmount 432
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* struct clone_args of <linux/sched.h>, as far as Linux 5.7 has it */
struct clone_request {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_TO_CGROUP 0x200000000ull
#define CLONE_WITH_PIDFD 0x00001000ull

/* struct open_how of <linux/openat2.h> */
struct open_request {
  uint64_t flags, mode, resolve;
};
enum { RESOLVE_ONE_MOUNT = 0x01, RESOLVE_NO_MAGIC = 0x02, RESOLVE_NO_LINKS = 0x04, RESOLVE_BELOW = 0x08, RESOLVE_ROOTED = 0x10 };

/* struct mount_attr of <linux/mount.h> */
struct mount_request {
  uint64_t set, clear, propagation, userns;
};
enum { MOUNT_RDONLY = 0x1, MOUNT_NOSUID = 0x2, MOUNT_NODEV = 0x4, MOUNT_NOEXEC = 0x8 };
enum { ATIME_MASK = 0x70, ATIME_NONE = 0x10, ATIME_STRICT = 0x20, DIRATIME_NONE = 0x80, MOUNT_NOSYMFOLLOW = 0x200000 };
enum { CONFIG_FLAG = 0, CONFIG_STRING = 1, CONFIG_CREATE = 6 };
enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, MOVE_FROM_FD = 0x4, MOVE_TO_FD = 0x40 };
enum { RANGE_CLOEXEC = 4 };
