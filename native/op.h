/* op.h - an operation as it was decoded, the table of all of them, and what they work on */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_FIELDS = 6, MAX_IGNORED = 4, MAX_SLOTS = 64, MAX_OPS = 100000 };
#define NO_SLOT 0xffffffffu
#define MAX_MESSAGE (64u << 20)

/* The parts of a program an op may stand in. */
enum { IN_HOST = 1, IN_CHILD = 2, IN_TEARDOWN = 4, IN_BATCH = 8, ANY = 15 };
enum part { PART_HOST, PART_CHILD, PART_TEARDOWN };

/* Code, name, signature (protocol.md), parts. A row's handler is perform_NAME; encode.ts holds the same rows. */
#define OPS(X) \
  X(1, open, "dsxx", ANY) \
  X(2, writeSlot, "db", ANY) \
  X(3, closeSlot, "d", ANY) \
  X(4, netlinkSocket, "dx", ANY) \
  X(5, netlink, "dbp", ANY) \
  X(6, openProcess, "dxx", ANY) \
  X(7, unshare, "x", ANY) \
  X(8, setns, "dx", ANY) \
  X(9, setHostname, "s", ANY) \
  X(10, setDomainname, "s", ANY) \
  X(11, setRlimit, "xxx", ANY) \
  X(12, prctl, "xxxxx", ANY) \
  X(13, boundingSet, "x", IN_CHILD | IN_BATCH) \
  X(14, capset, "xxx", IN_CHILD | IN_BATCH) \
  X(15, ambientSet, "x", IN_CHILD | IN_BATCH) \
  X(16, setUser, "xxg", IN_CHILD | IN_BATCH) \
  X(17, seccomp, "xb", IN_CHILD | IN_BATCH) \
  X(18, umask, "x", IN_CHILD) \
  X(19, chdir, "sx", ANY) \
  X(20, chroot, "s", ANY) \
  X(21, oomScoreAdj, "x", ANY) \
  X(22, exec, "slls", IN_CHILD) \
  X(23, init, "", IN_CHILD) \
  X(24, mount, "sssxsx", ANY) \
  X(25, fsmount, "sslxsx", ANY) \
  X(26, openTree, "dsx", ANY) \
  X(27, moveMount, "dsx", ANY) \
  X(28, mountAttributes, "Dsxxxx", ANY) \
  X(29, umount, "sx", ANY) \
  X(30, pivotRoot, "ss", ANY) \
  X(31, mask, "s", ANY) \
  X(32, readonlyPath, "s", ANY) \
  X(33, mkdir, "sxx", ANY) \
  X(34, writeFile, "sbxx", ANY) \
  X(35, writeControl, "sb", ANY) \
  X(36, symlink, "ss", ANY) \
  X(37, link, "ss", ANY) \
  X(38, mknod, "sxxx", ANY) \
  X(39, chown, "sxx", ANY) \
  X(40, chmod, "sx", ANY) \
  X(41, utimens, "sxx", ANY) \
  X(42, setxattr, "ssb", ANY) \
  X(43, rename, "ss", ANY) \
  X(44, remove, "sx", ANY) \
  X(45, killCgroup, "s", ANY) \
  X(46, stdio, "xxxx", IN_HOST) \
  X(47, openTerminal, "s", IN_CHILD) \
  X(48, log, "ssxxx", IN_HOST) \
  X(49, listen, "s", IN_HOST) \
  X(50, record, "s", IN_HOST) \
  X(51, oomWatch, "xsss", IN_HOST) \
  X(52, clone, "xD", IN_HOST) \
  X(53, readFile, "sx", IN_BATCH) \
  X(54, createFile, "dsx", ANY) \
  X(55, append, "dxb", ANY) \
  X(56, ioctl, "sxxbp", IN_BATCH) \
  X(57, jail, "", IN_BATCH) \
  X(58, openScan, "sx", IN_BATCH) \
  X(59, scan, "x", IN_BATCH) \
  X(60, readRegular, "sx", IN_BATCH) \
  X(61, openRegular, "ds", IN_BATCH) \
  X(62, readSlot, "dxx", IN_BATCH) \
  X(63, dataExtents, "dxx", IN_BATCH) \
  X(64, placeFile, "dsxxxb", IN_BATCH) \
  X(65, quotactl, "sxxb", IN_BATCH)

#define X(code, name, signature, parts) OP_##name = code,
enum op_code { OPS(X) OP_END };
#undef X

/* One field: a number, or text (s, b, g, p: `size` bytes, or items, in the message), or a list of strings ended by NULL. */
struct field {
  union {
    uint64_t number;
    char *text;
    char **list;
  };
  uint32_t size;
};

struct op {
  uint16_t code;
  uint16_t ignored[MAX_IGNORED];
  struct field field[MAX_FIELDS];
};

struct op_list {
  struct op *ops;
  uint32_t count;
};

struct monitor;
struct answer;
struct scan;

/* What handlers work on: one for each part that runs. Handlers of the child part allocate nothing: they share the monitor's memory. */
struct context {
  int slot[MAX_SLOTS];
  int umask;
  struct monitor *monitor; /* host and child part */
  struct answer *answer;   /* a worker's batch */
  struct scan *scan;       /* a worker's, while it walks a tree */
  int jail;                /* the root that a worker's paths stay in; -1 for none */
  int from;                /* where link and rename find their first path */
};

#define X(code, name, signature, parts) int perform_##name(struct context *context, struct op *op);
OPS(X)
#undef X

struct op_row {
  const char *name, *signature;
  unsigned parts;
  int (*perform)(struct context *, struct op *);
};
extern const struct op_row op_rows[OP_END];

void context_init(struct context *context);
/* Performs one op: 0, or -1 with errno; errnos that the op tolerates count as success. */
int perform(struct context *context, struct op *op);
/* Returns the index of the op that failed, with errno, or the count. */
uint32_t perform_all(struct context *context, const struct op_list *list);

int slot_fd(const struct context *context, const struct field *field);
int slot_set(struct context *context, const struct field *field, int fd);
/* Writes the descriptors of slots where data (b) says them, by places (p) that were checked when they were decoded. */
int patch_slots(const struct context *context, const struct field *data, const struct field *patches);
