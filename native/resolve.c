/* resolve.c - see resolve.h */
#define _GNU_SOURCE
#include "resolve.h"
#include <stdbool.h>
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

int resolve(const char *path, int flags) {
  if (path[0] == '/') return open(path, flags);
  struct open_request how = { .flags = (uint64_t)flags, .resolve = RESOLVE_ROOTED };
  for (int attempt = 0;; attempt++) {
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    /* EAGAIN: something was renamed meanwhile */
    if (fd >= 0 || errno != EAGAIN || attempt == 100) return fd;
  }
}

static int make_component(int parent, const char *name, enum make make, mode_t mode) {
  if (make == MAKE_DIRECTORY) return mkdirat(parent, name, mode) == 0 || errno == EEXIST ? 0 : -1;
  int fd = openat(parent, name, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
  if (fd < 0) return -1;
  close(fd);
  return 0;
}

/* Makes path, whose components up to `length` are there; the part before each slash is resolved anew, links and all. */
static int make_path(const char *path, enum make make, mode_t mode) {
  char prefix[PATH_BYTES];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof prefix) {
    errno = length == 0 ? ENOENT : ENAMETOOLONG;
    return -1;
  }
  memcpy(prefix, path, length + 1);
  while (length > 1 && prefix[length - 1] == '/') prefix[--length] = 0;
  int parent = resolve(prefix[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (size_t at = prefix[0] == '/' ? 1 : 0; parent >= 0;) {
    size_t end = at + strcspn(prefix + at, "/");
    bool last = prefix[end] == 0;
    char kept = prefix[end];
    prefix[end] = 0;
    int result = end == at ? 0 : make_component(parent, prefix + at, last ? make : MAKE_DIRECTORY, last ? mode : 0755);
    int error = errno;
    close(parent);
    errno = error;
    if (result != 0) return -1;
    if (last) return 0;
    parent = resolve(prefix, O_PATH | O_DIRECTORY | O_CLOEXEC);
    prefix[end] = kept;
    at = end + 1;
  }
  return -1;
}

int make_at(const char *path, enum make make) { return make_path(path, make, 0755); }

int make_directories(const char *path, mode_t mode) {
  struct stat info;
  if (mkdir(path, mode) == 0) return 0;
  if (errno == EEXIST) return stat(path, &info) != 0 ? -1 : S_ISDIR(info.st_mode) ? 0 : (errno = ENOTDIR, -1);
  return errno == ENOENT ? make_path(path, MAKE_DIRECTORY, mode) : -1;
}
