/* stdio.c - the process's descriptors 0 to 2: pipes, a terminal of its own devpts, or /dev/null */
#define _GNU_SOURCE
#include "monitor.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 18, DEVPTS_MAGIC = 0x1cd1 };
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

void stdio_init(struct stdio *stdio) {
  for (int i = 0; i < 3; i++) stdio->ours[i] = stdio->theirs[i] = -1;
  stdio->sockets[0] = stdio->sockets[1] = -1;
}

int null_stdio(void) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  for (int i = 0; i < 3; i++)
    if (dup2(fd, i) < 0) return -1;
  if (fd > 2) close(fd);
  return 0;
}

/* Our ends don't block; theirs do: they are descriptions of their own. */
static int make_pipe(int *reader, int *writer, int *ours) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  *reader = ends[0];
  *writer = ends[1];
  return fcntl(*ours, F_SETFL, O_NONBLOCK);
}

int perform_stdio(struct context *context, struct op *op) {
  struct stdio *stdio = &context->monitor->stdio;
  stdio->terminal = op->field[0].number != 0;
  stdio->wants_stdin = op->field[1].number != 0;
  stdio->rows = (uint16_t)op->field[2].number;
  stdio->columns = (uint16_t)op->field[3].number;
  if (stdio->terminal) return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stdio->sockets);
  if (stdio->wants_stdin && make_pipe(&stdio->theirs[0], &stdio->ours[0], &stdio->ours[0]) != 0) return -1;
  for (int i = 1; i < 3; i++) {
    if (make_pipe(&stdio->ours[i], &stdio->theirs[i], &stdio->ours[i]) != 0) return -1;
    fcntl(stdio->ours[i], F_SETPIPE_SZ, PIPE_BYTES); /* refused beyond the user's limit: then it is smaller */
  }
  return 0;
}

/* In the child: pipes become descriptors 0 to 2, which loses close-on-exec. */
int stdio_install(const struct stdio *stdio) {
  for (int i = 0; i < 3; i++)
    if (stdio->theirs[i] >= 0 && dup2(stdio->theirs[i], i) < 0) return -1;
  return 0;
}

void stdio_close_theirs(struct stdio *stdio) {
  for (int i = 0; i < 3; i++) {
    if (stdio->theirs[i] >= 0) close(stdio->theirs[i]);
    stdio->theirs[i] = -1;
  }
}

static int send_fd(int socket, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof fd)];
  struct iovec piece = { &byte, 1 };
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int receive_fd(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec piece = { &byte, 1 };
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  int fd;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fd)) return -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

/* Whatever a container has put at the path: only the multiplexer of a devpts is opened as a terminal. */
static int open_multiplexer(const char *path) {
  struct stat info;
  struct statfs fs;
  int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && fstatfs(fd, &fs) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(5, 2)
      && fs.f_type == DEVPTS_MAGIC)
    return fd;
  close(fd);
  errno = ENODEV;
  return -1;
}

/* The master goes to the monitor only once all else has been done: until then it knows of no terminal. */
int perform_openTerminal(struct context *context, struct op *op) {
  struct stdio *stdio = &context->monitor->stdio;
  struct winsize size = { .ws_row = stdio->rows, .ws_col = stdio->columns };
  int zero = 0, master = open_multiplexer(op->field[0].text);
  if (master < 0) return -1;
  if (ioctl(master, TIOCSPTLCK, &zero) != 0) return -1;
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return -1;
  setsid(); /* fails where the process leads a session already */
  if (ioctl(slave, TIOCSCTTY, 0) != 0) return -1;
  if (size.ws_row != 0 && ioctl(slave, TIOCSWINSZ, &size) != 0) return -1;
  for (int i = 0; i < 3; i++)
    if (dup2(slave, i) < 0) return -1;
  if (send_fd(stdio->sockets[1], master) != 0) return -1;
  close(slave);
  close(master);
  return 0;
}

/* In the monitor, once the child has it. A program that opened none has output of no kind. */
int stdio_take_terminal(struct stdio *stdio) {
  if (!stdio->terminal) return 0;
  int master = receive_fd(stdio->sockets[0]);
  close(stdio->sockets[0]);
  close(stdio->sockets[1]);
  stdio->sockets[0] = stdio->sockets[1] = -1;
  if (master < 0) return -1;
  fcntl(master, F_SETFL, O_NONBLOCK);
  stdio->ours[1] = master;
  if (stdio->wants_stdin) stdio->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
  return 0;
}

void stdio_resize(struct stdio *stdio, uint16_t rows, uint16_t columns) {
  struct winsize size = { .ws_row = rows, .ws_col = columns };
  if (stdio->terminal && stdio->ours[1] >= 0) ioctl(stdio->ours[1], TIOCSWINSZ, &size);
}
