/* ops_descriptor.c - descriptors that live across steps */
#define _GNU_SOURCE
#include "jail.h"
#include "op.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "process.h"

int perform_open(struct context *context, struct op *op) {
  int flags = (int)op->field[2].number | O_CLOEXEC;
  if (context->jail >= 0) return slot_set(context, &op->field[0], jail_open(context, op->field[1].text, (uint64_t)(unsigned)flags));
  return slot_set(context, &op->field[0], open(op->field[1].text, flags, (mode_t)op->field[3].number));
}

int write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(fd, data, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return -1;
    data += wrote;
    size -= (size_t)wrote;
  }
  return 0;
}

int perform_writeSlot(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  return fd < 0 ? -1 : write_all(fd, op->field[1].text, op->field[1].size);
}

int perform_closeSlot(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  if (fd < 0) return -1;
  context->slot[op->field[0].number] = -1;
  return close(fd);
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so the search starts behind its last parenthesis. */
int process_start_time(pid_t pid, uint64_t *start_time) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return -1;
  text[size] = 0;
  char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  if (at == NULL) {
    errno = EINVAL;
    return -1;
  }
  *start_time = strtoull(at + 1, NULL, 10);
  return 0;
}

/* The start time is read once the pidfd is held: if it fits then, the pidfd is of the process that was meant. */
int perform_openProcess(struct context *context, struct op *op) {
  pid_t pid = (pid_t)op->field[1].number;
  uint64_t start_time;
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return -1;
  if (process_start_time(pid, &start_time) != 0 || start_time != op->field[2].number) {
    close(fd);
    errno = ESRCH;
    return -1;
  }
  return slot_set(context, &op->field[0], fd);
}
