/* log.h - where a container's output is kept */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum log_format { LOG_NONE, LOG_FRAMES, LOG_JSON };
enum { LINE_BYTES = 16384 };

/* A line of which the end hasn't come yet: json only, mapped while there is one. */
struct line {
  uint8_t *data;
  size_t size;
};

struct log {
  int directory, fd;
  const char *name;
  enum log_format format;
  uint64_t max_bytes, size; /* 0: without bound */
  uint32_t max_files;
  int error; /* why the last output couldn't be kept, 0 */
  uint64_t lost_bytes;
  struct line lines[2];
};

/* `name` must stay. */
int log_open(struct log *log, const char *directory, const char *name, int format, uint64_t max_bytes, uint32_t max_files);
/* Keeps what was read at once of stream 1 or 2. Never fails: what can't be kept is counted, and log->error says why. */
void log_write(struct log *log, int stream, const uint8_t *data, size_t size);
/* The stream ended: its last line is whole. */
void log_end(struct log *log, int stream);

/* For the formats: writes what belongs together, rotating before it where the file would get too large. */
void log_append(struct log *log, const void *first, size_t first_size, const void *second, size_t second_size);
void json_write(struct log *log, int stream, const uint8_t *data, size_t size);
void json_end(struct log *log, int stream);
uint64_t now_ns(void);
