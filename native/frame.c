/* frame.c - see frame.h */
#define _GNU_SOURCE
#include "frame.h"
#include "decode.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LINGER_S = 2 };

void frame_put_header(uint8_t *to, uint32_t size, uint8_t type, uint8_t arg) {
  uint32_t length = size + FRAME_LENGTH_REST;
  memcpy(to, &length, 4);
  to[4] = type;
  to[5] = arg;
  to[6] = to[7] = 0;
}

int frame_parse_header(const uint8_t *from, struct frame_header *header) {
  uint32_t length = read_u32(from);
  if (length < FRAME_LENGTH_REST || length > MAX_MESSAGE) {
    errno = EBADMSG;
    return -1;
  }
  *header = (struct frame_header){ length - FRAME_LENGTH_REST, from[4], from[5] };
  return 0;
}

static int read_exactly(int fd, uint8_t *to, size_t size) {
  while (size > 0) {
    ssize_t got = recv(fd, to, size, MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    to += got;
    size -= (size_t)got;
  }
  return 0;
}

int message_read(int fd, struct message *message) {
  uint8_t header[FRAME_HEADER];
  message->payload = NULL;
  if (read_exactly(fd, header, sizeof header) != 0 || frame_parse_header(header, &message->header) != 0) return -1;
  message->mapped = (size_t)message->header.size + 1;
  void *memory = mmap(NULL, message->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -1;
  message->payload = memory;
  if (read_exactly(fd, message->payload, message->header.size) == 0) return 0;
  message_free(message);
  return -1;
}

void message_linger(int fd) {
  struct timeval patience = { .tv_sec = LINGER_S };
  uint8_t ignored[512];
  shutdown(fd, SHUT_WR);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (recv(fd, ignored, sizeof ignored, 0) > 0) continue;
}

void message_free(struct message *message) {
  if (message->payload != NULL) munmap(message->payload, message->mapped);
  message->payload = NULL;
}

int message_write(int fd, uint8_t type, uint8_t arg, const void *first, size_t first_size, const void *second, size_t second_size) {
  uint8_t header[FRAME_HEADER];
  frame_put_header(header, (uint32_t)(first_size + second_size), type, arg);
  struct iovec pieces[] = { { header, sizeof header }, { (void *)first, first_size }, { (void *)second, second_size } };
  struct msghdr call = { .msg_iov = pieces, .msg_iovlen = 3 };
  while (call.msg_iovlen > 0) {
    ssize_t sent = sendmsg(fd, &call, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -1;
    while (call.msg_iovlen > 0 && (size_t)sent >= call.msg_iov->iov_len) {
      sent -= (ssize_t)call.msg_iov->iov_len;
      call.msg_iov++;
      call.msg_iovlen--;
    }
    if (call.msg_iovlen > 0) {
      call.msg_iov->iov_base = (char *)call.msg_iov->iov_base + sent;
      call.msg_iov->iov_len -= (size_t)sent;
    }
  }
  return 0;
}
