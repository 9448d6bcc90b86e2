/* answer.c - see answer.h */
#define _GNU_SOURCE
#include "answer.h"
#include "op.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int grow(struct answer *answer, size_t needed) {
  if (answer->room >= needed) return 0;
  size_t room = answer->room == 0 ? 1 << 16 : answer->room;
  while (room < needed) room *= 2;
  if (room > MAX_MESSAGE) {
    errno = EFBIG;
    return -1;
  }
  void *data = answer->data == NULL ? mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : mremap(answer->data, answer->room, room, MREMAP_MAYMOVE);
  if (data == MAP_FAILED) return -1;
  answer->data = data;
  answer->room = room;
  return 0;
}

int answer_append_file(struct answer *answer, size_t start, int fd, uint64_t max_bytes) {
  size_t from = answer->size, at = from;
  for (;;) {
    if (grow(answer, at + 1) != 0) return -1;
    ssize_t got = read(fd, answer->data + at, answer->room - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    at += (size_t)got;
    if (at - from > max_bytes) {
      errno = EFBIG;
      return -1;
    }
  }
  uint32_t length = (uint32_t)(at - start - 4);
  memcpy(answer->data + start, &length, 4);
  answer->size = at;
  return 0;
}

int answer_file(struct answer *answer, int fd, uint64_t max_bytes) {
  size_t start = answer->size;
  if (answer_bytes(answer, NULL, 0) != 0) return -1;
  if (answer_append_file(answer, start, fd, max_bytes) == 0) return 0;
  answer->size = start;
  return -1;
}

int answer_range(struct answer *answer, int fd, uint64_t offset, uint64_t max_bytes) {
  size_t start = answer->size;
  if (max_bytes > MAX_MESSAGE || grow(answer, start + 4 + max_bytes) != 0) return -1;
  size_t size = 0;
  while (size < max_bytes) {
    ssize_t got = pread(fd, answer->data + start + 4 + size, max_bytes - size, (off_t)(offset + size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    size += (size_t)got;
  }
  uint32_t length = (uint32_t)size;
  memcpy(answer->data + start, &length, 4);
  answer->size = start + 4 + size;
  return 0;
}

int answer_bytes(struct answer *answer, const void *data, uint32_t size) {
  if (grow(answer, answer->size + 4 + size) != 0) return -1;
  memcpy(answer->data + answer->size, &size, 4);
  if (size > 0) memcpy(answer->data + answer->size + 4, data, size);
  answer->size += 4 + (size_t)size;
  return 0;
}

void answer_free(struct answer *answer) {
  if (answer->data != NULL) munmap(answer->data, answer->room);
  *answer = (struct answer){ 0 };
}
