/* log.c - framed output in files that rotate; json_log.c has the other format */
#define _GNU_SOURCE
#include "log.h"
#include "decode.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES = 16, FRAME_MAGIC = 0x4f47, NAME_BYTES = 256 + 16 };

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int open_current(struct log *log, int extra) {
  log->fd = openat(log->directory, log->name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | extra, 0640);
  return log->fd < 0 ? -1 : 0;
}

/* How far whole frames reach: a monitor that was killed while writing may have left half of one. */
static uint64_t whole_frames(const uint8_t *data, uint64_t size) {
  uint64_t at = 0;
  while (size - at >= FRAME_BYTES) {
    uint32_t length = read_u32(data + at);
    if (read_u16(data + at + 6) != FRAME_MAGIC || length > size - at - FRAME_BYTES) break;
    at += FRAME_BYTES + length;
  }
  return at;
}

/* json: up to the last line's end */
static uint64_t whole_lines(const uint8_t *data, uint64_t size) {
  const uint8_t *end = memrchr(data, '\n', size);
  return end == NULL ? 0 : (uint64_t)(end - data) + 1;
}

static void cut_broken_end(struct log *log) {
  if (log->size == 0) return;
  uint8_t *data = mmap(NULL, log->size, PROT_READ, MAP_SHARED, log->fd, 0);
  if (data == MAP_FAILED) return;
  uint64_t whole = log->format == LOG_FRAMES ? whole_frames(data, log->size) : whole_lines(data, log->size);
  munmap(data, log->size);
  if (whole != log->size && ftruncate(log->fd, (off_t)whole) == 0) log->size = whole;
}

int log_open(struct log *log, const char *directory, const char *name, int format, uint64_t max_bytes, uint32_t max_files) {
  struct stat info;
  if (format != LOG_FRAMES && format != LOG_JSON) {
    errno = EINVAL;
    return format == LOG_NONE ? 0 : -1;
  }
  log->name = name;
  log->max_bytes = max_bytes;
  log->max_files = max_files;
  log->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (log->directory < 0 || open_current(log, 0) != 0 || fstat(log->fd, &info) != 0) return -1;
  log->format = (enum log_format)format;
  log->size = (uint64_t)info.st_size;
  cut_broken_end(log);
  return 0;
}

static void numbered(char *to, const char *name, uint32_t number) {
  if (number == 0) snprintf(to, NAME_BYTES, "%s", name);
  else snprintf(to, NAME_BYTES, "%s.%u", name, number);
}

/* NAME.1 becomes NAME.2, and so on; the oldest is overwritten. With one file only, that file starts anew. */
static int rotate(struct log *log) {
  char from[NAME_BYTES], to[NAME_BYTES];
  for (uint32_t number = log->max_files; number-- > 1;) {
    numbered(from, log->name, number - 1);
    numbered(to, log->name, number);
    if (renameat(log->directory, from, log->directory, to) != 0 && errno != ENOENT) return -1;
  }
  if (log->fd >= 0) close(log->fd);
  log->size = 0;
  return open_current(log, log->max_files <= 1 ? O_TRUNC : O_EXCL);
}

static ssize_t write_whole(struct log *log, const void *first, size_t first_size, const void *second, size_t second_size) {
  struct iovec pieces[] = { { (void *)first, first_size }, { (void *)second, second_size } };
  ssize_t wrote = writev(log->fd, pieces, 2), total = (ssize_t)(first_size + second_size);
  if (wrote == total) return total;
  /* A regular file takes less only when it can't take more: undone, so that what is in it stays whole. */
  if (wrote >= 0) {
    errno = ENOSPC;
    (void)!ftruncate(log->fd, (off_t)log->size);
  }
  return -1;
}

void log_append(struct log *log, const void *first, size_t first_size, const void *second, size_t second_size) {
  size_t size = first_size + second_size;
  bool full = log->max_bytes > 0 && log->size > 0 && log->size + size > log->max_bytes;
  if (((full || log->fd < 0) && (full ? rotate(log) : open_current(log, 0)) != 0)
      || write_whole(log, first, first_size, second, second_size) < 0) {
    log->error = errno;
    log->lost_bytes += second_size > 0 ? second_size : first_size;
    return;
  }
  log->error = 0;
  log->size += size;
}

static void write_frame(struct log *log, int stream, const uint8_t *data, size_t size) {
  struct {
    uint32_t length;
    uint8_t stream, zero;
    uint16_t magic;
    uint64_t time;
  } header = { (uint32_t)size, (uint8_t)stream, 0, FRAME_MAGIC, now_ns() };
  _Static_assert(sizeof header == FRAME_BYTES, "the header has no gaps");
  log_append(log, &header, sizeof header, data, size);
}

void log_write(struct log *log, int stream, const uint8_t *data, size_t size) {
  if (log->format == LOG_FRAMES) write_frame(log, stream, data, size);
  if (log->format == LOG_JSON) json_write(log, stream, data, size);
}

void log_end(struct log *log, int stream) {
  if (log->format == LOG_JSON) json_end(log, stream);
}
