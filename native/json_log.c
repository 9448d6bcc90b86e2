/* json_log.c - Docker's json-file format: {"log":"line\n","stream":"stdout","time":"…"}, a line each, in pieces of 16 KiB */
#define _GNU_SOURCE
#include "log.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
  TIME_BYTES = 64,
  WORST_ESCAPE = 6,
  RECORD_BYTES = LINE_BYTES * WORST_ESCAPE + 128,
  OUTPUT_BYTES = RECORD_BYTES + 96 * 1024,
};

/* Records on their way to the file; mapped for the time of one write. */
struct output {
  struct log *log;
  uint8_t *data;
  size_t size;
  const char *stream;
  char time[TIME_BYTES];
};

static void flush(struct output *out) {
  if (out->size > 0) log_append(out->log, out->data, out->size, NULL, 0);
  out->size = 0;
}

/* RFC 3339 with nanoseconds, without their trailing zeros. */
static void format_time(char *to) {
  struct tm parts;
  uint64_t now = now_ns();
  time_t seconds = (time_t)(now / 1000000000u);
  gmtime_r(&seconds, &parts);
  size_t size = strftime(to, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
  size += (size_t)snprintf(to + size, TIME_BYTES - size, ".%09u", (unsigned)(now % 1000000000u));
  while (to[size - 1] == '0') size--;
  if (to[size - 1] == '.') size--;
  memcpy(to + size, "Z", 2);
}

/* The length of the UTF-8 sequence at `at`, 0 where there is none; overlong forms, surrogates and what is past U+10FFFF are none. */
static size_t sequence_length(const uint8_t *at, const uint8_t *end) {
  uint8_t lead = at[0], low = 0x80, high = 0xbf;
  size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || (size_t)(end - at) < length) return 0;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf)
    if (at[i] < low || at[i] > high) return 0;
  return length;
}

static void put_text(struct output *out, const char *text) {
  size_t size = strlen(text);
  memcpy(out->data + out->size, text, size);
  out->size += size;
}

/* Bytes that are written as they are, whatever stands beside them. */
static bool is_plain(uint8_t byte) {
  return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&';
}

static void put_bytes(struct output *out, const uint8_t *data, size_t size) {
  memcpy(out->data + out->size, data, size);
  out->size += size;
}

static void put_control(struct output *out, uint8_t byte) {
  static const char hex[] = "0123456789abcdef";
  char escape[] = { '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15], 0 };
  switch (byte) {
    case '"': put_text(out, "\\\""); break;
    case '\\': put_text(out, "\\\\"); break;
    case '\n': put_text(out, "\\n"); break;
    case '\r': put_text(out, "\\r"); break;
    case '\t': put_text(out, "\\t"); break;
    default: put_text(out, escape);
  }
}

/* U+2028 and U+2029, which end a line for some readers of JSON. */
static bool is_line_separator(const uint8_t *at, size_t length) {
  return length == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
}

static void put_escaped(struct output *out, const uint8_t *at, const uint8_t *end) {
  while (at < end) {
    const uint8_t *run = at;
    while (at < end && is_plain(*at)) at++;
    put_bytes(out, run, (size_t)(at - run));
    if (at == end) break;
    size_t length = sequence_length(at, end);
    if (length == 0) put_text(out, "\\ufffd");
    else if (length == 1) put_control(out, *at);
    else if (is_line_separator(at, length)) put_text(out, at[2] == 0xa8 ? "\\u2028" : "\\u2029");
    else put_bytes(out, at, length);
    at += length == 0 ? 1 : length;
  }
}

static void put_record(struct output *out, const uint8_t *data, size_t size) {
  if (out->size + RECORD_BYTES > OUTPUT_BYTES) flush(out);
  put_text(out, "{\"log\":\"");
  put_escaped(out, data, data + size);
  put_text(out, "\",\"stream\":\"");
  put_text(out, out->stream);
  put_text(out, "\",\"time\":\"");
  put_text(out, out->time);
  put_text(out, "\"}\n");
}

static bool output_open(struct output *out, struct log *log, int stream) {
  out->log = log;
  out->size = 0;
  out->stream = stream == 2 ? "stderr" : "stdout";
  format_time(out->time);
  out->data = mmap(NULL, OUTPUT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return out->data != MAP_FAILED;
}

static void output_close(struct output *out) {
  flush(out);
  munmap(out->data, OUTPUT_BYTES);
}

/* A piece ends before a character that would be cut in two. */
static size_t piece_length(const uint8_t *data, size_t size) {
  for (size_t back = 1; back <= 3 && back <= size; back++) {
    uint8_t byte = data[size - back];
    if (byte < 0x80) break;
    if (byte >= 0xc0) {
      size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needs > back ? size - back : size;
    }
  }
  return size;
}

static void line_free(struct line *line) {
  if (line->data != NULL) munmap(line->data, LINE_BYTES);
  *line = (struct line){ 0 };
}

/* Adds to a line that has no end yet; returns how much of the data was taken. */
static size_t line_add(struct line *line, const uint8_t *data, size_t size) {
  if (line->data == NULL) {
    void *memory = mmap(NULL, LINE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    line->data = memory;
  }
  size_t room = LINE_BYTES - line->size, taken = size < room ? size : room;
  memcpy(line->data + line->size, data, taken);
  line->size += taken;
  return taken;
}

void json_write(struct log *log, int stream, const uint8_t *data, size_t size) {
  struct line *line = &log->lines[stream - 1];
  const uint8_t *end = data + size;
  struct output out;
  if (!output_open(&out, log, stream)) {
    log->lost_bytes += size;
    return;
  }
  while (data < end) {
    const uint8_t *newline = memchr(data, '\n', (size_t)(end - data));
    size_t piece = (size_t)((newline == NULL ? end : newline + 1) - data);
    if (line->size == 0 && newline != NULL && piece <= LINE_BYTES) {
      put_record(&out, data, piece);
      data += piece;
      continue;
    }
    size_t taken = line_add(line, data, piece);
    if (taken == 0 && line->size == 0) break;
    data += taken;
    if (taken == piece && newline != NULL) {
      put_record(&out, line->data, line->size);
      line->size = 0;
    } else if (line->size == LINE_BYTES) {
      size_t whole = piece_length(line->data, line->size);
      put_record(&out, line->data, whole);
      memmove(line->data, line->data + whole, line->size - whole);
      line->size -= whole;
    }
  }
  output_close(&out);
  if (line->size == 0) line_free(line);
}

void json_end(struct log *log, int stream) {
  struct line *line = &log->lines[stream - 1];
  struct output out;
  if (line->size > 0 && output_open(&out, log, stream)) {
    put_record(&out, line->data, line->size);
    output_close(&out);
  }
  line_free(line);
}
