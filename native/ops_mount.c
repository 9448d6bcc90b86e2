/* ops_mount.c - mounts, each with the new interface where it is there, with mount(2) where it isn't
 *
 * A relative target is resolved inside the current directory, as if that were the root: a symbolic link in an image cannot
 * lead out of it. Such targets need a /proc of the host's, which is there before pivot_root. */
#define _GNU_SOURCE
#include "op.h"
#include "resolve.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { OPTIONS_BYTES = 4096, FD_PATH_BYTES = 32 };

static int close_with(int fd, int result) {
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return result;
}

static void fd_path(char *path, int fd) { snprintf(path, FD_PATH_BYTES, "/proc/self/fd/%d", fd); }

/* The target as a descriptor, made where it isn't there. */
static int open_target(const char *target, enum make make) {
  int fd = resolve(target, O_PATH | O_CLOEXEC);
  if (fd >= 0 || errno != ENOENT || make == MAKE_NOTHING) return fd;
  return make_at(target, make) != 0 ? -1 : resolve(target, O_PATH | O_CLOEXEC);
}

static int mount_on(const char *source, const char *target, const char *type, unsigned long flags, const char *data, enum make make) {
  if (target[0] == '/') {
    if (mount(source, target, type, flags, data) == 0) return 0;
    if (errno != ENOENT || make == MAKE_NOTHING || make_at(target, make) != 0) return -1;
    return mount(source, target, type, flags, data);
  }
  char path[FD_PATH_BYTES];
  int fd = open_target(target, make);
  if (fd < 0) return -1;
  fd_path(path, fd);
  return close_with(fd, mount(source, path, type, flags, data));
}

int perform_mount(struct context *context, struct op *op) {
  (void)context;
  struct field *f = op->field;
  const char *data = f[4].size == 0 ? NULL : f[4].text;
  return mount_on(f[0].text, f[1].text, f[2].text, f[3].number, data, (enum make)f[5].number);
}

static int attach(int from, const char *target, enum make make) {
  int fd = open_target(target, make);
  if (fd < 0) return -1;
  return close_with(fd, (int)syscall(SYS_move_mount, from, "", fd, "", MOVE_FROM_FD | MOVE_TO_FD));
}

static int configure(int fs, const char *source, char **options) {
  if (source[0] != 0 && syscall(SYS_fsconfig, fs, CONFIG_STRING, "source", source, 0) != 0) return -1;
  for (; *options != NULL; options++) {
    char *equals = strchr(*options, '=');
    long result;
    if (equals == NULL) {
      result = syscall(SYS_fsconfig, fs, CONFIG_FLAG, *options, NULL, 0);
    } else {
      *equals = 0;
      result = syscall(SYS_fsconfig, fs, CONFIG_STRING, *options, equals + 1, 0);
      *equals = '=';
    }
    if (result != 0) return -1;
  }
  return (int)syscall(SYS_fsconfig, fs, CONFIG_CREATE, NULL, NULL, 0);
}

static unsigned long flags_of_attributes(uint64_t attributes) {
  unsigned long flags = 0;
  if (attributes & MOUNT_RDONLY) flags |= MS_RDONLY;
  if (attributes & MOUNT_NOSUID) flags |= MS_NOSUID;
  if (attributes & MOUNT_NODEV) flags |= MS_NODEV;
  if (attributes & MOUNT_NOEXEC) flags |= MS_NOEXEC;
  if ((attributes & ATIME_MASK) == ATIME_NONE) flags |= MS_NOATIME;
  if ((attributes & ATIME_MASK) == ATIME_STRICT) flags |= MS_STRICTATIME;
  if (attributes & DIRATIME_NONE) flags |= MS_NODIRATIME;
  if (attributes & MOUNT_NOSYMFOLLOW) flags |= 0x100; /* MS_NOSYMFOLLOW */
  return flags;
}

/* Kernels before 5.2: all options in one page. */
static int mount_joined(const struct field *f) {
  char data[OPTIONS_BYTES];
  size_t used = 0;
  data[0] = 0;
  for (char **option = f[2].list; *option != NULL; option++) {
    int size = snprintf(data + used, sizeof data - used, "%s%s", used == 0 ? "" : ",", *option);
    if (size < 0 || (size_t)size >= sizeof data - used) {
      errno = E2BIG;
      return -1;
    }
    used += (size_t)size;
  }
  return mount_on(f[1].text, f[4].text, f[0].text, flags_of_attributes(f[3].number), data, (enum make)f[5].number);
}

int perform_fsmount(struct context *context, struct op *op) {
  (void)context;
  struct field *f = op->field;
  int fs = (int)syscall(SYS_fsopen, f[0].text, 1 /* FSOPEN_CLOEXEC */);
  if (fs < 0) return errno == ENOSYS ? mount_joined(f) : -1;
  if (configure(fs, f[1].text, f[2].list) != 0) return close_with(fs, -1);
  int tree = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, (unsigned)f[3].number);
  close_with(fs, 0);
  return tree < 0 ? -1 : close_with(tree, attach(tree, f[4].text, (enum make)f[5].number));
}

int perform_openTree(struct context *context, struct op *op) {
  const char *path = op->field[1].text;
  unsigned flags = TREE_CLONE | O_CLOEXEC | (op->field[2].number != 0 ? TREE_RECURSIVE : 0);
  if (path[0] == '/') return slot_set(context, &op->field[0], (int)syscall(SYS_open_tree, AT_FDCWD, path, flags));
  int fd = resolve(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return -1;
  return slot_set(context, &op->field[0], close_with(fd, (int)syscall(SYS_open_tree, fd, "", flags | AT_EMPTY_PATH)));
}

int perform_moveMount(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  enum make make = (enum make)op->field[2].number;
  struct stat info;
  if (fd < 0) return -1;
  if (make == MAKE_LIKE) {
    if (fstat(fd, &info) != 0) return -1;
    make = S_ISDIR(info.st_mode) ? MAKE_DIRECTORY : MAKE_FILE;
  }
  return attach(fd, op->field[1].text, make);
}

/* Kernels before 5.12 change one mount at a time, and only one that is attached. */
static int change_by_remount(const char *target, const struct mount_request *change, bool recursive) {
  struct statfs info;
  if (target[0] == 0) {
    errno = EOPNOTSUPP;
    return -1;
  }
  if ((change->set | change->clear) != 0) {
    if (statfs(target, &info) != 0) return -1;
    unsigned long kept = (unsigned long)info.f_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
    unsigned long flags = (kept & ~flags_of_attributes(change->clear)) | flags_of_attributes(change->set);
    if (mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) != 0) return -1;
  }
  if (change->propagation == 0) return 0;
  return mount(NULL, target, NULL, (unsigned long)change->propagation | (recursive ? MS_REC : 0), NULL);
}

int perform_mountAttributes(struct context *context, struct op *op) {
  struct field *f = op->field;
  struct mount_request change = { f[2].number, f[3].number, f[4].number, 0 };
  unsigned flags = f[5].number != 0 ? AT_RECURSIVE : 0;
  int fd = -1, result;
  if (f[0].number != NO_SLOT) {
    fd = slot_fd(context, &f[0]);
    if (fd < 0) return -1;
    result = (int)syscall(SYS_mount_setattr, fd, f[1].text, flags | AT_EMPTY_PATH, &change, sizeof change);
  } else {
    fd = resolve(f[1].text, O_PATH | O_CLOEXEC);
    if (fd < 0) return -1;
    result = close_with(fd, (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, &change, sizeof change));
  }
  return result != 0 && errno == ENOSYS ? change_by_remount(f[1].text, &change, f[5].number != 0) : result;
}

int perform_umount(struct context *context, struct op *op) {
  (void)context;
  return umount2(op->field[0].text, (int)op->field[1].number);
}

int perform_pivotRoot(struct context *context, struct op *op) {
  (void)context;
  return (int)syscall(SYS_pivot_root, op->field[0].text, op->field[1].text);
}

/* The null device, proved to be that, whatever lies at /dev/null. */
static int open_null(void) {
  struct stat info;
  int fd = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3)) return fd;
  close(fd);
  errno = ENODEV;
  return -1;
}

int perform_mask(struct context *context, struct op *op) {
  (void)context;
  char source[FD_PATH_BYTES];
  const char *path = op->field[0].text;
  struct stat info;
  int target = resolve(path, O_PATH | O_CLOEXEC);
  if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
  if (fstat(target, &info) != 0) return close_with(target, -1);
  close(target);
  if (S_ISDIR(info.st_mode)) return mount_on("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,mode=755", MAKE_NOTHING);
  int null = open_null();
  if (null < 0) return -1;
  fd_path(source, null);
  return close_with(null, mount_on(source, path, NULL, MS_BIND, NULL, MAKE_NOTHING));
}

int perform_readonlyPath(struct context *context, struct op *op) {
  (void)context;
  const char *path = op->field[0].text;
  struct mount_request change = { MOUNT_RDONLY, 0, 0, 0 };
  if (mount_on(path, path, NULL, MS_BIND | MS_REC, NULL, MAKE_NOTHING) != 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
  int fd = resolve(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = close_with(fd, (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change));
  return result != 0 && errno == ENOSYS ? change_by_remount(path, &change, false) : result;
}
