/* ops_read.c - content of ordinary files: nothing else is ever opened to be read, for opening a device does something and a pipe waits */
#define _GNU_SOURCE
#include "answer.h"
#include "jail.h"
#include "op.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE = 10 };

static int close_keeping_errno(int fd) {
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* ENXIO for what is no ordinary file. It is looked at before it is opened, and again after. */
static int open_regular(const struct context *context, const char *path) {
  struct stat seen, info;
  for (int attempt = 0; attempt < PATIENCE; attempt++) {
    int fd = jail_open(context, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &seen) != 0) return close_keeping_errno(fd);
    close(fd);
    if (!S_ISREG(seen.st_mode)) break;
    fd = jail_open(context, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) return fd;
    close(fd);
  }
  errno = ENXIO;
  return -1;
}

int perform_openRegular(struct context *context, struct op *op) {
  return slot_set(context, &op->field[0], open_regular(context, op->field[1].text));
}

/* An answer that begins with an errno: many files are read in one batch, and one that is gone by then spoils no other's answer. */
int perform_readRegular(struct context *context, struct op *op) {
  int fd = open_regular(context, op->field[0].text);
  size_t start = context->answer->size;
  if (fd >= 0) {
    uint32_t none = 0;
    int result = answer_bytes(context->answer, &none, 4) != 0 ? -1 : answer_append_file(context->answer, start, fd, op->field[1].number);
    close_keeping_errno(fd);
    if (result == 0) return 0;
    context->answer->size = start;
  }
  uint32_t error = (uint32_t)errno;
  return answer_bytes(context->answer, &error, 4);
}

int perform_readSlot(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  if (fd < 0) return -1;
  return answer_range(context->answer, fd, op->field[1].number, op->field[2].number);
}

/* u64 offset, u64 length each: where data lies from an offset on. All of a file counts as data where the file system can't tell. */
int perform_dataExtents(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) return -1;
  uint64_t max = op->field[2].number;
  if (max > 65536) max = 65536;
  uint64_t *extents = malloc((size_t)(max + 1) * 16);
  if (extents == NULL) return -1;
  uint32_t count = 0;
  off_t at = (off_t)op->field[1].number;
  while (count < max && at < info.st_size) {
    off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (data < 0 || hole <= data) data = at, hole = info.st_size;
    extents[count * 2] = (uint64_t)data;
    extents[count * 2 + 1] = (uint64_t)(hole - data);
    count++;
    at = hole;
  }
  int result = answer_bytes(context->answer, extents, count * 16);
  int error = errno;
  free(extents);
  errno = error;
  return result;
}
