/* answer.h - the data that a worker's batch sends back */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct answer {
  uint8_t *data;
  size_t size, room;
};

/* Adds `u32 length` and the file's whole content; EFBIG when that is over the limit. */
int answer_file(struct answer *answer, int fd, uint64_t max_bytes);
/* Adds a file's whole content to the answer that begins at `start`, its newest; EFBIG when that is over the limit. */
int answer_append_file(struct answer *answer, size_t start, int fd, uint64_t max_bytes);
/* Adds `u32 length` and what a file holds from an offset on: less than `max_bytes` only at its end. */
int answer_range(struct answer *answer, int fd, uint64_t offset, uint64_t max_bytes);
/* Adds `u32 length` and bytes. */
int answer_bytes(struct answer *answer, const void *data, uint32_t size);
void answer_free(struct answer *answer);
