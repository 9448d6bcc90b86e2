/* record.c - the exit as a file: written beside its name and renamed, so whoever reads it reads all of it
 *
 * Not synced: it outlives every process; a power cut ends the container anyway. */
#define _GNU_SOURCE
#include "monitor.h"
#include "process.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

void record_write(const struct monitor *monitor) {
  char temporary[PATH_BYTES], text[256];
  if (monitor->record_path == NULL) return;
  int size = snprintf(temporary, sizeof temporary, "%s.tmp", monitor->record_path);
  if (size < 0 || (size_t)size >= sizeof temporary) return;
  /* Nanoseconds don't fit a JSON number as readers take it. */
  size = snprintf(text, sizeof text,
                  "{\"status\":%" PRIu32 ",\"signal\":%" PRIu32 ",\"finishedAtNs\":\"%" PRIu64 "\",\"oomKills\":%" PRIu64
                  ",\"memoryPeakBytes\":%" PRIu64 "}\n",
                  monitor->status, monitor->signal, monitor->finished_ns, monitor->oom.kills, monitor->oom.peak);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  int failed = write_all(fd, text, (size_t)size);
  failed |= close(fd);
  if (failed || rename(temporary, monitor->record_path) != 0) unlink(temporary);
}
