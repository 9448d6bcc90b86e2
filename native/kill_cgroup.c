/* kill_cgroup.c - killing all that is in a cgroup, by pidfds where the kernel has no call for it */
#define _GNU_SOURCE
#include "op.h"
#include "process.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCS_BYTES = 4096, MAX_AT_ONCE = 256, PATIENCE_MS = 5000 };

/* The first pids of cgroup.procs; those of other pid namespaces read as 0 and are left out. */
static int read_pids(int directory, pid_t *pids, int room) {
  char text[PROCS_BYTES];
  int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC), count = 0;
  if (fd < 0) return -1;
  ssize_t size = read(fd, text, sizeof text - 1);
  int error = errno;
  close(fd);
  errno = error;
  if (size < 0) return -1;
  text[size] = 0;
  char *end = strrchr(text, '\n'); /* a number cut off by the buffer's end is left for the next round */
  if (end != NULL) end[1] = 0;
  for (char *at = text; *at != 0 && count < room;) {
    long pid = strtol(at, &at, 10);
    if (pid > 0) pids[count++] = (pid_t)pid;
    while (*at == '\n') at++;
  }
  return count;
}

static bool is_listed(pid_t pid, const pid_t *pids, int count) {
  for (int i = 0; i < count; i++)
    if (pids[i] == pid) return true;
  return false;
}

/* Holds the processes, reads the list again, and kills those still on it: a pid that was reused in between isn't. */
static int kill_round(int directory) {
  pid_t pids[MAX_AT_ONCE], still[MAX_AT_ONCE];
  int held[MAX_AT_ONCE];
  int count = read_pids(directory, pids, MAX_AT_ONCE);
  if (count <= 0) return count;
  for (int i = 0; i < count; i++) held[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
  int still_count = read_pids(directory, still, MAX_AT_ONCE);
  for (int i = 0; i < count; i++) {
    if (held[i] < 0) continue;
    if (is_listed(pids[i], still, still_count)) syscall(SYS_pidfd_send_signal, held[i], SIGKILL, NULL, 0);
    close(held[i]);
  }
  return count;
}

static int write_at(int directory, const char *name, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = write_all(fd, text, strlen(text)), error = errno;
  close(fd);
  errno = error;
  return result;
}

static int wait_until_empty(int directory, bool by_kernel) {
  struct timespec pause = { .tv_nsec = 500000 };
  pid_t pid;
  for (long waited_us = 0;;) {
    int left = by_kernel ? read_pids(directory, &pid, 1) : kill_round(directory);
    if (left <= 0) return left;
    if (waited_us >= PATIENCE_MS * 1000L) {
      errno = EBUSY;
      return -1;
    }
    nanosleep(&pause, NULL);
    waited_us += pause.tv_nsec / 1000;
    if (pause.tv_nsec < 10000000) pause.tv_nsec *= 2;
  }
}

int perform_killCgroup(struct context *context, struct op *op) {
  (void)context;
  int directory = open(op->field[0].text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  bool by_kernel = write_at(directory, "cgroup.kill", "1") == 0;
  /* A frozen process of the v1 freezer dies only once it is thawed. */
  if (!by_kernel && kill_round(directory) > 0) write_at(directory, "freezer.state", "THAWED");
  int result = wait_until_empty(directory, by_kernel), error = errno;
  close(directory);
  if (result != 0 && (error == ENOENT || error == ENODEV)) return 0; /* removed meanwhile, so it was empty */
  errno = error;
  return result;
}
