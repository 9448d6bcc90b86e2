/* remove.c - removing a file or a whole tree
 *
 * Every step goes by descriptors, never follows a link and never crosses into another mount. A tree that is too deep for
 * the stack is made flat: what lies deeper is renamed into the top and removed from there. */
#define _GNU_SOURCE
#include "op.h"
#include "syscalls.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REMOVE_ONE, REMOVE_TREE, REMOVE_FILE };
enum { MAX_DEPTH = 24, ENTRIES_BYTES = 2048, MAX_ROUNDS = 1000, BUSY_PATIENCE_MS = 2000 };

struct entry { /* struct linux_dirent64 */
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

struct removal {
  int top;
  dev_t device;
  unsigned renamed;
  int error; /* the first that isn't explained by someone else removing too */
};

static int open_below(const struct removal *removal, int parent, const char *name) {
  struct open_request how = {
    .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
    .resolve = RESOLVE_ONE_MOUNT | RESOLVE_NO_LINKS | RESOLVE_BELOW,
  };
  int fd = (int)syscall(SYS_openat2, parent, name, &how, sizeof how);
  if (fd >= 0 || errno != ENOSYS) return fd;
  struct stat info;
  fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && (fstat(fd, &info) != 0 || info.st_dev != removal->device)) {
    close(fd);
    errno = EXDEV;
    return -1;
  }
  return fd;
}

static void note(struct removal *removal) {
  if (errno != ENOENT && removal->error == 0) removal->error = errno;
}

static void empty(struct removal *removal, int fd, int depth);

static bool remove_directory(struct removal *removal, int parent, const char *name, int depth) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return true;
  if (errno != ENOTEMPTY && errno != EEXIST) return note(removal), false;
  if (depth == MAX_DEPTH) {
    char flat[32];
    snprintf(flat, sizeof flat, ".onggi-removing-%u", removal->renamed++);
    if (renameat(parent, name, removal->top, flat) == 0) return true;
    return note(removal), false;
  }
  int fd = open_below(removal, parent, name);
  if (fd < 0) return note(removal), false;
  empty(removal, fd, depth + 1);
  close(fd);
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return true;
  if (errno != ENOTEMPTY || removal->error == 0) note(removal);
  return false;
}

static bool remove_entry(struct removal *removal, int parent, const struct entry *entry, int depth) {
  if (entry->type != DT_DIR) {
    if (unlinkat(parent, entry->name, 0) == 0) return true;
    if (errno != EISDIR && errno != EPERM) return note(removal), false;
    if (errno == EPERM) { /* POSIX's errno for a directory; it may as well be a file that can't be removed */
      struct stat info;
      int error = errno;
      if (fstatat(parent, entry->name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode)) {
        errno = error;
        return note(removal), false;
      }
    }
  }
  return remove_directory(removal, parent, entry->name, depth);
}

/* Reads the directory again until a round removes nothing: entries may move while others go, or be made meanwhile. */
static void empty(struct removal *removal, int fd, int depth) {
  _Alignas(struct entry) char buffer[ENTRIES_BYTES];
  bool progress = true;
  for (int round = 0; progress && round < MAX_ROUNDS; round++) {
    progress = false;
    lseek(fd, 0, SEEK_SET);
    for (;;) {
      long size = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
      if (size < 0) note(removal);
      if (size <= 0) break;
      for (long at = 0; at < size;) {
        const struct entry *entry = (const struct entry *)(buffer + at);
        at += entry->size;
        if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
        if (remove_entry(removal, fd, entry, depth)) progress = true;
      }
    }
  }
}

static int remove_tree(const char *path) {
  struct stat info;
  if (unlink(path) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return -1;
  struct removal removal = { .top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };
  if (removal.top < 0) return -1;
  if (fstat(removal.top, &info) == 0) removal.device = info.st_dev;
  for (int attempt = 0;; attempt++) {
    removal.error = 0;
    empty(&removal, removal.top, 0);
    if (rmdir(path) == 0) break;
    if (errno != ENOTEMPTY || attempt == 3) {
      if (removal.error == 0) removal.error = errno;
      break;
    }
  }
  close(removal.top);
  errno = removal.error;
  return removal.error == 0 ? 0 : -1;
}

static int remove_one(const char *path) {
  if (unlink(path) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return -1;
  return rmdir(path);
}

/* EISDIR for a directory, which POSIX lets unlink(2) refuse with EPERM as well. */
static int remove_file(const char *path) {
  struct stat info;
  if (unlink(path) == 0) return 0;
  int error = errno;
  if (error == EPERM && lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  errno = error;
  return -1;
}

/* A cgroup stays busy for a moment after its last process has ended. */
int perform_remove(struct context *context, struct op *op) {
  (void)context;
  struct timespec pause = { .tv_nsec = 100000 };
  if (op->field[1].number == REMOVE_FILE) return remove_file(op->field[0].text);
  if (op->field[1].number == REMOVE_TREE) return remove_tree(op->field[0].text);
  for (long waited_us = 0;;) {
    if (remove_one(op->field[0].text) == 0) return 0;
    if (errno != EBUSY || waited_us >= BUSY_PATIENCE_MS * 1000L) return -1;
    nanosleep(&pause, NULL);
    waited_us += pause.tv_nsec / 1000;
    if (pause.tv_nsec < 10000000) pause.tv_nsec *= 2;
  }
}
