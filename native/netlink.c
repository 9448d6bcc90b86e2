/* netlink.c - batches of netlink messages, sent and acknowledged */
#define _GNU_SOURCE
#include "decode.h"
#include "op.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LARGE_BATCH_BYTES = 64 * 1024, ANSWER_BYTES = 8192 };

int perform_netlinkSocket(struct context *context, struct op *op) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)op->field[1].number);
  struct timeval patience = { .tv_sec = 10 };
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return slot_set(context, &op->field[0], fd);
}

/* The sequence number of the last message that asks for an acknowledgement; `asked` is false where none does. */
static uint32_t last_acknowledged(const char *messages, uint32_t size, bool *asked) {
  uint32_t sequence = 0;
  struct nlmsghdr header;
  *asked = false;
  for (uint32_t at = 0; at + sizeof header <= size;) {
    memcpy(&header, messages + at, sizeof header);
    if (header.nlmsg_len < sizeof header) break;
    if (header.nlmsg_flags & NLM_F_ACK) {
      sequence = header.nlmsg_seq;
      *asked = true;
    }
    if (header.nlmsg_len > size - at) break;
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  return sequence;
}

/* Looks through one datagram: 1 the awaited acknowledgement is there, 0 it isn't, -1 a message was refused. */
static int look_through(const char *answer, ssize_t size, uint32_t awaited) {
  for (ssize_t at = 0; at + (ssize_t)sizeof(struct nlmsghdr) <= size;) {
    struct nlmsghdr header;
    int error = 0;
    memcpy(&header, answer + at, sizeof header);
    if (header.nlmsg_len < sizeof header) break;
    if (header.nlmsg_type == NLMSG_ERROR && at + NLMSG_HDRLEN + (ssize_t)sizeof error <= size) {
      memcpy(&error, answer + at + NLMSG_HDRLEN, sizeof error);
      if (error != 0) {
        errno = -error;
        return -1;
      }
      if (header.nlmsg_seq == awaited) return 1;
    }
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  return 0;
}

/* What an earlier batch that was refused has left unread. */
static void drain(int fd, char *answer) {
  while (recv(fd, answer, ANSWER_BYTES, MSG_DONTWAIT) >= 0 || errno == ENOBUFS) continue;
}

int perform_netlink(struct context *context, struct op *op) {
  char answer[ANSWER_BYTES], *messages = op->field[1].text;
  uint32_t size = op->field[1].size;
  bool asked;
  int fd = slot_fd(context, &op->field[0]);
  if (fd < 0) return -1;
  if (patch_slots(context, &op->field[1], &op->field[2]) != 0) return -1;

  drain(fd, answer);
  if (size > LARGE_BATCH_BYTES) {
    int room = (int)size * 2;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  }
  if (send(fd, messages, size, 0) < 0) return -1;
  uint32_t awaited = last_acknowledged(messages, size, &asked);
  for (;;) {
    /* Whoever asks for no acknowledgement still learns of a refusal, which the kernel has queued by now. */
    ssize_t got = recv(fd, answer, sizeof answer, asked ? 0 : MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && !asked && errno == EAGAIN) return 0;
    if (got < 0) return -1;
    int found = look_through(answer, got, awaited);
    if (found < 0 || (found > 0 && asked)) return found < 0 ? -1 : 0;
  }
}
