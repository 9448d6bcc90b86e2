/* frame.h - messages to and from the engine: u32 length, u8 type, u8 arg, u16 0, payload */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEADER = 8, FRAME_LENGTH_REST = 4 };
enum frame_type {
  FRAME_LAUNCH = 1, FRAME_WORK = 2, FRAME_STDIN = 3, FRAME_STDIN_CLOSE = 4, FRAME_RESIZE = 5, FRAME_SIGNAL = 6, FRAME_SUBSCRIBE = 7,
  FRAME_PREPARE = 9,
  FRAME_CREDIT = 8, FRAME_BATCH = 16,
  FRAME_STARTED = 64, FRAME_FAILED = 65, FRAME_OUTPUT = 66, FRAME_EOF = 67, FRAME_EXITED = 68, FRAME_TORN_DOWN = 69, FRAME_OOM = 70,
  FRAME_STDIN_CREDIT = 71, FRAME_HELLO = 72, FRAME_LOG_ERROR = 73, FRAME_RESULT = 80,
};

struct frame_header {
  uint32_t size; /* of the payload */
  uint8_t type, arg;
};

void frame_put_header(uint8_t *to, uint32_t size, uint8_t type, uint8_t arg);
/* -1 where the length can't be right. */
int frame_parse_header(const uint8_t *from, struct frame_header *header);

/* A whole message, read from a blocking socket into memory of its own; NULL at its end or when it is malformed. */
struct message {
  uint8_t *payload;
  size_t mapped;
  struct frame_header header;
};
int message_read(int fd, struct message *message);
void message_free(struct message *message);
/* Waits until the engine, which has been told all, closes: what it sends meanwhile would otherwise break the connection
 * before it has read that. */
void message_linger(int fd);
/* Writes a whole message to a blocking socket: a payload in two pieces, either of which may be empty. */
int message_write(int fd, uint8_t type, uint8_t arg, const void *first, size_t first_size, const void *second, size_t second_size);
