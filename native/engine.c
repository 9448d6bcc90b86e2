/* engine.c - the monitor's side of its connection to the engine; nothing here blocks before the end */
#define _GNU_SOURCE
#include "frame.h"
#include "monitor.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { FINISH_PATIENCE_S = 10 };

/* The container goes on without: its output is kept, its stdin stays open. */
void engine_disconnect(struct monitor *monitor) {
  struct engine *engine = &monitor->engine;
  if (engine->fd >= 0) close(engine->fd);
  *engine = (struct engine){ .fd = -1 };
}

void engine_queue(struct monitor *monitor, uint8_t type, uint8_t arg, const void *payload, size_t size) {
  struct engine *engine = &monitor->engine;
  if (engine->fd < 0) return;
  /* An engine that sends but never reads. */
  if (engine->queued + FRAME_HEADER + size > sizeof engine->queue) return engine_disconnect(monitor);
  frame_put_header(engine->queue + engine->queued, (uint32_t)size, type, arg);
  if (size > 0) memcpy(engine->queue + engine->queued + FRAME_HEADER, payload, size);
  engine->queued += FRAME_HEADER + size;
}

bool engine_is_clogged(const struct monitor *monitor) { return monitor->engine.output != NULL || monitor->engine.queued > 0; }

/* True once the output that was under way is sent. */
static bool flush_output(struct monitor *monitor) {
  struct engine *engine = &monitor->engine;
  while (engine->output != NULL) {
    size_t sent = engine->output_sent, header = sent < FRAME_HEADER ? FRAME_HEADER - sent : 0;
    size_t data_sent = sent < FRAME_HEADER ? 0 : sent - FRAME_HEADER;
    struct iovec pieces[] = {
      { engine->output_header + FRAME_HEADER - header, header },
      { (void *)(engine->output + data_sent), engine->output_size - data_sent },
    };
    struct msghdr call = { .msg_iov = pieces, .msg_iovlen = 2 };
    ssize_t wrote = sendmsg(engine->fd, &call, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      if (errno != EAGAIN) engine_disconnect(monitor);
      return false;
    }
    engine->output_sent += (size_t)wrote;
    if (engine->output_sent == FRAME_HEADER + engine->output_size) engine->output = NULL;
  }
  return true;
}

void engine_flush(struct monitor *monitor) {
  struct engine *engine = &monitor->engine;
  if (engine->fd < 0 || !flush_output(monitor)) return;
  while (engine->queued > 0) {
    ssize_t wrote = send(engine->fd, engine->queue, engine->queued, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      if (errno != EAGAIN) engine_disconnect(monitor);
      return;
    }
    engine->queued -= (size_t)wrote;
    memmove(engine->queue, engine->queue + wrote, engine->queued);
  }
}

/* Called only while nothing is under way; the data must stay until engine->output is NULL again. */
void engine_send_output(struct monitor *monitor, int stream, const uint8_t *data, size_t size) {
  struct engine *engine = &monitor->engine;
  if (engine->fd < 0 || !engine->subscribed) return;
  frame_put_header(engine->output_header, (uint32_t)size, FRAME_OUTPUT, (uint8_t)stream);
  engine->output = data;
  engine->output_size = size;
  engine->output_sent = 0;
  engine->credit -= size < engine->credit ? size : engine->credit;
  engine_flush(monitor);
}

void engine_tell_exit(struct monitor *monitor) {
  struct {
    uint32_t status, signal;
    uint64_t finished_ns, oom_kills, peak;
  } exited = { monitor->status, monitor->signal, monitor->finished_ns, monitor->oom.kills, monitor->oom.peak };
  engine_queue(monitor, FRAME_EXITED, 0, &exited, sizeof exited);
}

static void say_hello(struct monitor *monitor) {
  uint8_t hello[13];
  uint32_t pid = (uint32_t)monitor->pid;
  memcpy(hello, &pid, 4);
  memcpy(hello + 4, &monitor->start_time, 8);
  hello[12] = monitor->exited;
  engine_queue(monitor, FRAME_HELLO, 0, hello, sizeof hello);
}

/* One engine at a time: a new one takes the old one's place. */
void engine_connect(struct monitor *monitor, int fd, bool hello) {
  engine_disconnect(monitor);
  monitor->engine.fd = fd;
  monitor->input.ungranted = 0;
  monitor->told_log_error = 0;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (hello) say_hello(monitor);
  uint32_t credit = input_first_credit(monitor);
  if (monitor->stdio.ours[0] >= 0 && credit > 0) engine_queue(monitor, FRAME_STDIN_CREDIT, 0, &credit, sizeof credit);
  if (hello && monitor->exited) engine_tell_exit(monitor);
  for (int i = 0; i < 2; i++) monitor->told_ended[i] = false;
}

static void perform_message(struct monitor *monitor, const struct frame_header *header, const uint8_t *payload) {
  switch (header->type) {
    case FRAME_STDIN_CLOSE: return input_close(monitor);
    case FRAME_RESIZE:
      if (header->size == 4) stdio_resize(&monitor->stdio, read_u16(payload), read_u16(payload + 2));
      return;
    case FRAME_SIGNAL:
      if (header->size == 4 && !monitor->exited) syscall(SYS_pidfd_send_signal, monitor->pidfd, (int)read_u32(payload), NULL, 0);
      return;
    case FRAME_SUBSCRIBE:
      monitor->engine.subscribed = header->arg != 0;
      monitor->engine.credit = 0;
      return;
    case FRAME_CREDIT:
      if (header->size == 8) monitor->engine.credit += read_u64(payload);
      return;
    default: return engine_disconnect(monitor);
  }
}

/* Reads stdin straight into its buffer. False when there is no more for now. */
static bool receive_stdin(struct monitor *monitor) {
  struct engine *engine = &monitor->engine;
  uint8_t *to;
  size_t room = input_room(monitor, &to);
  if (room == 0) return engine_disconnect(monitor), false; /* more than was granted */
  ssize_t got = recv(engine->fd, to, engine->stdin_left < room ? engine->stdin_left : room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (got <= 0) return engine_disconnect(monitor), false;
  engine->stdin_left -= (size_t)got;
  input_added(monitor, (size_t)got);
  return true;
}

/* Reads a header, then the few bytes of any message but STDIN. */
static bool receive_message(struct monitor *monitor) {
  struct engine *engine = &monitor->engine;
  struct frame_header header = { 0 };
  size_t wanted = FRAME_HEADER;
  if (engine->received >= FRAME_HEADER) {
    frame_parse_header(engine->incoming, &header);
    wanted += header.size;
  }
  ssize_t got = recv(engine->fd, engine->incoming + engine->received, wanted - engine->received, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (got <= 0) return engine_disconnect(monitor), false;
  engine->received += (size_t)got;
  if (engine->received < wanted) return true;

  if (wanted == FRAME_HEADER) {
    if (frame_parse_header(engine->incoming, &header) != 0) return engine_disconnect(monitor), false;
    if (header.type == FRAME_STDIN) {
      engine->received = 0;
      engine->stdin_left = header.size;
      return true;
    }
    if (header.size > sizeof engine->incoming - FRAME_HEADER) return engine_disconnect(monitor), false;
    if (header.size > 0) return true;
  }
  engine->received = 0;
  perform_message(monitor, &header, engine->incoming + FRAME_HEADER);
  return engine->fd >= 0;
}

void engine_receive(struct monitor *monitor) {
  while (monitor->engine.fd >= 0 && (monitor->engine.stdin_left > 0 ? receive_stdin(monitor) : receive_message(monitor))) continue;
}

/* The last message. The connection may block now, for a while. */
void engine_finish(struct monitor *monitor, const void *payload, size_t size) {
  struct engine *engine = &monitor->engine;
  struct timeval patience = { .tv_sec = FINISH_PATIENCE_S };
  if (engine->fd < 0) return;
  fcntl(engine->fd, F_SETFL, 0);
  setsockopt(engine->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  while (engine->queued > 0) {
    ssize_t wrote = send(engine->fd, engine->queue, engine->queued, MSG_NOSIGNAL);
    if (wrote <= 0) return;
    engine->queued -= (size_t)wrote;
    memmove(engine->queue, engine->queue + wrote, engine->queued);
  }
  if (message_write(engine->fd, FRAME_TORN_DOWN, 0, payload, size, NULL, 0) == 0) message_linger(engine->fd);
}
