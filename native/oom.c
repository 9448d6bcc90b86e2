/* oom.c - kills by the memory limit: an eventfd on v1, inotify on v2 */
#define _GNU_SOURCE
#include "frame.h"
#include "monitor.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { COUNTER_BYTES = 1024, PATH_BYTES = 4096, RECHECKS = 10 };

/* v1: "EVENTFD FD" written to cgroup.event_control beside the counter. */
static int register_event(const char *path, int event, int counter) {
  char control[PATH_BYTES], line[32];
  const char *slash = strrchr(path, '/');
  int size = snprintf(control, sizeof control, "%.*s/cgroup.event_control", slash == NULL ? 1 : (int)(slash - path), slash == NULL ? "." : path);
  if (size < 0 || (size_t)size >= sizeof control) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int fd = open(control, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = write_all(fd, line, (size_t)snprintf(line, sizeof line, "%d %d", event, counter)), error = errno;
  close(fd);
  errno = error;
  return result;
}

int perform_oomWatch(struct context *context, struct op *op) {
  struct oom_watch *oom = &context->monitor->oom;
  const char *path = op->field[1].text;
  oom->version = (int)op->field[0].number;
  oom->peak_path = op->field[2].text;
  oom->usage_path = op->field[3].text;
  oom->counter = open(path, O_RDONLY | O_CLOEXEC);
  if (oom->counter < 0) return -1;
  if (oom->version == 1) {
    oom->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return oom->event < 0 ? -1 : register_event(path, oom->event, oom->counter);
  }
  oom->event = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return oom->event < 0 || inotify_add_watch(oom->event, path, IN_MODIFY) < 0 ? -1 : 0;
}

/* The value of the line "NAME VALUE". */
static uint64_t counter_value(int fd, const char *name) {
  char text[COUNTER_BYTES];
  size_t length = strlen(name);
  ssize_t size = pread(fd, text, sizeof text - 1, 0);
  if (size <= 0) return 0;
  text[size] = 0;
  for (char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, name, length) == 0 && line[length] == ' ') return strtoull(line + length + 1, NULL, 10);
  }
  return 0;
}

static uint64_t read_number(const char *path) {
  char text[32];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  return strtoull(text, NULL, 10);
}

static void note_peak(struct oom_watch *oom, const char *path) {
  uint64_t bytes = path[0] == 0 ? 0 : read_number(path);
  if (bytes > oom->peak) oom->peak = bytes;
}

void oom_look(struct monitor *monitor) {
  struct oom_watch *oom = &monitor->oom;
  if (oom->recheck > 0) oom->recheck--;
  uint64_t kills = counter_value(oom->counter, "oom_kill");
  if (kills <= oom->kills) return;
  oom->kills = kills;
  oom->recheck = 0;
  engine_queue(monitor, FRAME_OOM, 0, &kills, sizeof kills);
}

void oom_event(struct monitor *monitor) {
  struct oom_watch *oom = &monitor->oom;
  char events[256];
  if (read(oom->event, events, sizeof events) > 0) oom->recheck = RECHECKS;
  note_peak(oom, oom->usage_path);
  oom_look(monitor);
}

/* The last look, while the cgroup is still there. Without a file of the peak (before Linux 5.19 on v2) the samples must do. */
void oom_finish(struct monitor *monitor) {
  struct oom_watch *oom = &monitor->oom;
  if (oom->counter < 0) return;
  uint64_t kills = counter_value(oom->counter, "oom_kill");
  if (kills > oom->kills) oom->kills = kills;
  note_peak(oom, oom->peak_path);
  note_peak(oom, oom->usage_path);
  oom->recheck = 0;
  close(oom->counter);
  close(oom->event);
  oom->counter = oom->event = -1;
}
