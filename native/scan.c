/* scan.c - what lies in a tree: one record an entry, folders before what is in them, names in the order of their bytes
 *
 * The walk goes by descriptors and follows no link; what others remove meanwhile is left out. It stays open between two pages.
 * A record (little endian): u32 size of the whole record, u32 mode, u32 uid, u32 gid, u64 size, i64 mtime seconds, u32 nanoseconds,
 * u32 links, u64 inode, u64 device, i64 ctime seconds, u32 nanoseconds, u32 major, u32 minor, u32 errno why a folder can't be read,
 * u64 bytes on disk, u32 length of the path, u32 of a link's target, u32 number of attributes, then path, target, and of each attribute
 * u32 length, name, u32 length, value. */
#define _GNU_SOURCE
#include "scan.h"
#include "answer.h"
#include "jail.h"
#include "op.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCAN_ONE_DEVICE = 1, SCAN_XATTRS = 2, SCAN_FOLLOW = 4, SCAN_SELF = 8 };
enum { RECORD_HEADER = 100, ENTRIES_BYTES = 32768, LINK_BYTES = 4096, XATTR_BYTES = 65536 };

struct bytes {
  char *data;
  size_t size, room;
};

/* A folder on the way down. */
struct level {
  int fd;
  struct bytes names;
  char **list;
  size_t count, next;
  size_t path_size; /* of the folder's own path */
};

struct scan {
  unsigned flags;
  dev_t device;
  struct level *levels;
  size_t depth, room;
  struct bytes path, page;
  char entries[ENTRIES_BYTES];
  char link[LINK_BYTES], names[XATTR_BYTES], value[XATTR_BYTES];
};

struct entry { /* struct linux_dirent64 */
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

static int reserve(struct bytes *bytes, size_t more) {
  size_t room = bytes->room == 0 ? 4096 : bytes->room;
  while (room < bytes->size + more) room *= 2;
  if (room == bytes->room) return 0;
  char *data = realloc(bytes->data, room);
  if (data == NULL) return -1;
  bytes->data = data;
  bytes->room = room;
  return 0;
}

static int put(struct bytes *bytes, const void *data, size_t size) {
  if (reserve(bytes, size) != 0) return -1;
  memcpy(bytes->data + bytes->size, data, size);
  bytes->size += size;
  return 0;
}

static int put_sized(struct bytes *bytes, const void *data, size_t size) {
  uint32_t length = (uint32_t)size;
  return put(bytes, &length, 4) != 0 ? -1 : put(bytes, data, size);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int read_names(struct scan *scan, struct level *level) {
  for (;;) {
    long size = syscall(SYS_getdents64, level->fd, scan->entries, sizeof scan->entries);
    if (size < 0) return -1;
    if (size == 0) break;
    for (long at = 0; at < size;) {
      const struct entry *entry = (const struct entry *)(scan->entries + at);
      at += entry->size;
      if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
      if (put(&level->names, entry->name, strlen(entry->name) + 1) != 0) return -1;
      level->count++;
    }
  }
  level->list = malloc((level->count + 1) * sizeof *level->list);
  if (level->list == NULL) return -1;
  char *at = level->names.data;
  for (size_t i = 0; i < level->count; i++, at += strlen(at) + 1) level->list[i] = at;
  qsort(level->list, level->count, sizeof *level->list, by_bytes);
  return 0;
}

static void leave(struct scan *scan) {
  struct level *level = &scan->levels[--scan->depth];
  close(level->fd);
  free(level->names.data);
  free(level->list);
}

/* Goes down into a folder that is open; takes the descriptor over. */
static int descend(struct scan *scan, int fd) {
  if (scan->depth == scan->room) {
    size_t room = scan->room == 0 ? 16 : scan->room * 2;
    struct level *levels = realloc(scan->levels, room * sizeof *levels);
    if (levels == NULL) return close(fd), -1;
    scan->levels = levels;
    scan->room = room;
  }
  struct level *level = &scan->levels[scan->depth++];
  *level = (struct level){ .fd = fd, .path_size = scan->path.size };
  if (read_names(scan, level) == 0) return 0;
  int error = errno;
  leave(scan);
  errno = error;
  return -1;
}

/* `fd` is an open folder, or -1: then `name` in the current directory is meant. */
static int put_xattrs(struct scan *scan, int fd, const char *name, uint32_t *count) {
  ssize_t size = fd >= 0 ? flistxattr(fd, scan->names, sizeof scan->names) : llistxattr(name, scan->names, sizeof scan->names);
  for (const char *at = scan->names; size > 0 && at < scan->names + size; at += strlen(at) + 1) {
    ssize_t got = fd >= 0 ? fgetxattr(fd, at, scan->value, sizeof scan->value) : lgetxattr(name, at, scan->value, sizeof scan->value);
    if (got < 0) continue; /* removed meanwhile, or not for us */
    if (put_sized(&scan->page, at, strlen(at)) != 0 || put_sized(&scan->page, scan->value, (size_t)got) != 0) return -1;
    (*count)++;
  }
  return 0;
}

static void put_at(struct scan *scan, size_t at, const void *data, size_t size) { memcpy(scan->page.data + at, data, size); }

/* Adds a record for what `info` tells; the path is in scan->path. Returns where it begins, or SIZE_MAX. */
static size_t put_record(struct scan *scan, const struct stat *info, int fd, const char *name) {
  size_t start = scan->page.size;
  ssize_t link = 0;
  uint32_t count = 0;
  if (S_ISLNK(info->st_mode) && name != NULL) {
    link = readlinkat(AT_FDCWD, name, scan->link, sizeof scan->link);
    if (link < 0) link = 0;
  }
  if (reserve(&scan->page, RECORD_HEADER) != 0) return SIZE_MAX;
  scan->page.size += RECORD_HEADER;
  if (put(&scan->page, scan->path.data, scan->path.size) != 0 || put(&scan->page, scan->link, (size_t)link) != 0) return SIZE_MAX;
  if ((scan->flags & SCAN_XATTRS) != 0 && (fd >= 0 || name != NULL) && put_xattrs(scan, fd, name, &count) != 0) return SIZE_MAX;

  uint32_t words[] = { (uint32_t)(scan->page.size - start), info->st_mode, info->st_uid, info->st_gid };
  int64_t mtime = info->st_mtim.tv_sec, changed = info->st_ctim.tv_sec;
  uint64_t size = (uint64_t)info->st_size, inode = info->st_ino, device = info->st_dev, disk = (uint64_t)info->st_blocks * 512;
  uint32_t times[] = { (uint32_t)info->st_mtim.tv_nsec, (uint32_t)info->st_nlink };
  uint32_t rest[] = { (uint32_t)info->st_ctim.tv_nsec, major(info->st_rdev), minor(info->st_rdev), 0 };
  uint32_t lengths[] = { (uint32_t)scan->path.size, (uint32_t)link, count };
  put_at(scan, start, words, sizeof words);
  put_at(scan, start + 16, &size, 8);
  put_at(scan, start + 24, &mtime, 8);
  put_at(scan, start + 32, times, sizeof times);
  put_at(scan, start + 40, &inode, 8);
  put_at(scan, start + 48, &device, 8);
  put_at(scan, start + 56, &changed, 8);
  put_at(scan, start + 64, rest, sizeof rest);
  put_at(scan, start + 80, &disk, 8);
  put_at(scan, start + 88, lengths, sizeof lengths);
  return start;
}

static int put_folder(struct scan *scan, int fd, bool enter) {
  struct stat info;
  if (fstat(fd, &info) != 0) return close(fd), -1;
  size_t start = put_record(scan, &info, fd, NULL);
  if (start == SIZE_MAX) return close(fd), -1;
  if (!enter || ((scan->flags & SCAN_ONE_DEVICE) != 0 && info.st_dev != scan->device)) return close(fd);
  if (descend(scan, fd) == 0) return 0;
  if (errno == ENOMEM) return -1;
  uint32_t error = (uint32_t)errno;
  put_at(scan, start + 76, &error, 4);
  return 0;
}

/* One entry of the folder that is the current directory. A folder that turns into something else meanwhile is looked at again. */
static int put_entry(struct scan *scan, const char *name) {
  struct stat info;
  for (int attempt = 0; attempt < 10; attempt++) {
    if (fstatat(AT_FDCWD, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(info.st_mode)) return put_record(scan, &info, -1, name) == SIZE_MAX ? -1 : 0;
    int fd = openat(AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) return put_folder(scan, fd, true);
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) return -1;
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) continue;
    uint32_t error = (uint32_t)errno;
    size_t start = put_record(scan, &info, -1, name);
    if (start == SIZE_MAX) return -1;
    put_at(scan, start + 76, &error, 4);
    return 0;
  }
  return 0;
}

/* A folder's level stays open all the way down: as many descriptors as the tree is deep. */
static void allow_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static int begin(struct context *context, struct scan *scan, char *path) {
  struct stat info;
  bool follows = (scan->flags & SCAN_FOLLOW) != 0;
  int fd = jail_open(context, path, O_PATH | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW));
  if (fd < 0) return -1;
  if (fstat(fd, &info) != 0) return close(fd), -1;
  scan->device = info.st_dev;
  if (S_ISDIR(info.st_mode)) {
    int folder = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    return folder < 0 ? -1 : put_folder(scan, folder, (scan->flags & SCAN_SELF) == 0);
  }
  close(fd);
  /* Links and attributes are read by name; of what lies behind a link, only what stat tells. */
  if (!follows && context->jail >= 0 && jail_enter(context, &path) != 0) return -1;
  return put_record(scan, &info, -1, follows ? NULL : path) == SIZE_MAX ? -1 : 0;
}

void scan_free(struct scan *scan) {
  if (scan == NULL) return;
  while (scan->depth > 0) leave(scan);
  free(scan->levels);
  free(scan->path.data);
  free(scan->page.data);
  free(scan);
}

int perform_openScan(struct context *context, struct op *op) {
  scan_free(context->scan);
  context->scan = calloc(1, sizeof *context->scan);
  if (context->scan == NULL) return -1;
  context->scan->flags = (unsigned)op->field[1].number;
  allow_descriptors();
  if (reserve(&context->scan->path, 1) == 0 && begin(context, context->scan, op->field[0].text) == 0) return 0;
  int error = errno;
  scan_free(context->scan);
  context->scan = NULL;
  errno = error;
  return -1;
}

/* The entries' paths begin behind the root's, without a slash. */
static int step(struct scan *scan, struct level *level) {
  const char *name = level->list[level->next++];
  scan->path.size = level->path_size;
  if (scan->path.size > 0 && put(&scan->path, "/", 1) != 0) return -1;
  if (put(&scan->path, name, strlen(name)) != 0) return -1;
  return put_entry(scan, name);
}

static int fill_page(struct scan *scan, uint64_t max_bytes) {
  for (size_t here = SIZE_MAX; scan->page.size < max_bytes && scan->depth > 0;) {
    struct level *level = &scan->levels[scan->depth - 1];
    if (level->next == level->count) {
      leave(scan);
      here = SIZE_MAX;
      continue;
    }
    if (here != scan->depth && fchdir(level->fd) != 0) return -1;
    here = scan->depth;
    if (step(scan, level) != 0) return -1;
  }
  return 0;
}

int perform_scan(struct context *context, struct op *op) {
  struct scan *scan = context->scan;
  /* What was to be walked isn't there, and that was tolerated. */
  if (scan == NULL) return answer_bytes(context->answer, NULL, 0);
  int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (before < 0) return -1;
  int result = fill_page(scan, op->field[0].number), error = errno;
  if (fchdir(before) != 0 && result == 0) result = -1, error = errno;
  close(before);
  if (result == 0) result = answer_bytes(context->answer, scan->page.data, (uint32_t)scan->page.size), error = errno;
  scan->page.size = 0;
  errno = error;
  return result;
}
