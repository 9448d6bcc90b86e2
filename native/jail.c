/* jail.c - see jail.h
 *
 * chroot(2) isn't enough where a container runs: its links lead through /proc/PID/root to the host, and its processes swap folders
 * for links between two steps. So each path is resolved by one openat2(2) inside the root, and what is done to it is done by its last
 * component in the folder that was found, which no handler follows. */
#define _GNU_SOURCE
#include "jail.h"
#include "op.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MAX_ATTEMPTS = 1000 };

/* The folder entered last: mostly the next operation is in the same. */
static char entered[PATH_BYTES];
static bool is_entered;

int perform_jail(struct context *context, struct op *op) {
  (void)op;
  int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  if (context->jail >= 0) close(context->jail);
  context->jail = fd;
  is_entered = false;
  return 0;
}

int jail_open(const struct context *context, const char *path, uint64_t flags) {
  if (context->jail < 0) return open(path, (int)flags);
  struct open_request how = { .flags = flags, .resolve = RESOLVE_ROOTED | RESOLVE_NO_MAGIC };
  for (int attempt = 0;; attempt++) {
    int fd = (int)syscall(SYS_openat2, context->jail, path, &how, sizeof how);
    /* EAGAIN: something was renamed meanwhile */
    if (fd >= 0 || errno != EAGAIN || attempt == MAX_ATTEMPTS) return fd;
  }
}

/* Splits a path: `folder` gets what is before the last component, which is returned; "." where that is the folder itself. */
static char *split(char *path, char *folder) {
  size_t length = strlen(path);
  if (length >= PATH_BYTES) {
    errno = ENAMETOOLONG;
    return NULL;
  }
  while (length > 0 && path[length - 1] == '/') path[--length] = 0;
  char *slash = strrchr(path, '/'), *last = slash == NULL ? path : slash + 1;
  bool is_folder = last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
  size_t size = is_folder ? length : (size_t)(last - path);
  memcpy(folder, path, size);
  folder[size] = 0;
  if (size == 0) strcpy(folder, "/");
  return is_folder ? "." : last;
}

static int open_folder(const struct context *context, char **path, char *folder) {
  char *last = split(*path, folder);
  if (last == NULL) return -1;
  *path = last;
  return jail_open(context, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int jail_enter(const struct context *context, char **path) {
  char folder[PATH_BYTES];
  char *last = split(*path, folder);
  if (last == NULL) return -1;
  *path = last;
  if (is_entered && strcmp(folder, entered) == 0) return 0;
  int fd = jail_open(context, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = fchdir(fd), error = errno;
  close(fd);
  errno = error;
  if (result != 0) return -1;
  strcpy(entered, folder);
  is_entered = true;
  return 0;
}

/* Of two paths the first keeps its folder open, for linkat and renameat. */
static int place_from(struct context *context, char **path) {
  char folder[PATH_BYTES];
  if (context->from >= 0) close(context->from);
  context->from = open_folder(context, path, folder);
  return context->from < 0 ? -1 : 0;
}

int jail_place(struct context *context, struct op *op) {
  switch (op->code) {
    case OP_mkdir: case OP_writeFile: case OP_mknod: case OP_chown: case OP_chmod: case OP_utimens: case OP_setxattr:
      return jail_enter(context, &op->field[0].text);
    case OP_symlink: case OP_createFile:
      return jail_enter(context, &op->field[1].text);
    case OP_remove:
      if (jail_enter(context, &op->field[0].text) != 0) return -1;
      /* The folder that is entered may be among what goes, but where only a file may. */
      if (op->field[1].number != 2) is_entered = false;
      return 0;
    case OP_link: case OP_rename:
      if (place_from(context, &op->field[0].text) != 0 || jail_enter(context, &op->field[1].text) != 0) return -1;
      if (op->code == OP_rename) is_entered = false;
      return 0;
    default: return 0;
  }
}
