/* monitor.h - one container's (or exec's) monitor: what its files share */
#pragma once
#include "decode.h"
#include "log.h"
#include "op.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STDIN_ROOM = 65536, QUEUE_BYTES = 2048 };

/* How the child part ended, where it failed; shared with the child. */
struct failure {
  uint32_t index;
  int32_t error;
  bool failed;
};

/* stdio.c: the process's descriptors 0 to 2, this side and its */
struct stdio {
  int ours[3];   /* stdin to write, stdout and stderr to read; a terminal's master is ours[1], and ours[0] a copy of it */
  int theirs[3]; /* -1: /dev/null */
  bool terminal, wants_stdin;
  int sockets[2]; /* over which the child hands the terminal's master to us */
  uint16_t rows, columns;
};

/* oom.c */
struct oom_watch {
  int version, event, counter; /* descriptors: eventfd or inotify; memory.oom_control or memory.events */
  const char *peak_path, *usage_path;
  uint64_t kills, peak;
  int recheck; /* the kernel tells before it kills: so many more looks, shortly */
};

/* engine.c: the connection to the engine, and what is on its way in either direction */
struct engine {
  int fd;
  bool subscribed;
  uint64_t credit;
  /* output that is partly sent: the monitor reads no more before it's gone */
  uint8_t output_header[8];
  const uint8_t *output;
  size_t output_size, output_sent;
  /* everything else */
  uint8_t queue[QUEUE_BYTES];
  size_t queued;
  /* the message being received */
  uint8_t incoming[24];
  size_t received, stdin_left;
};

struct stdin_buffer {
  uint8_t *data;
  size_t start, size, ungranted;
  bool closing, broken;
};

struct monitor {
  struct engine engine;
  struct stdio stdio;
  struct stdin_buffer input;
  struct log log;
  struct oom_watch oom;
  int listener, pidfd;
  pid_t pid;
  uint64_t start_time;
  bool own_pid_namespace;
  const char *listen_path, *record_path;
  const struct op_list *child;
  struct context *context;
  struct failure *failure;
  /* the end */
  bool exited, ended[2], told_ended[2];
  uint32_t status, signal;
  uint64_t finished_ns, drain_deadline_ms;
  int told_log_error;
};

void monitor_run(int engine, uint8_t *message, size_t size, uint8_t arg);

/* engine.c */
void engine_queue(struct monitor *monitor, uint8_t type, uint8_t arg, const void *payload, size_t size);
void engine_flush(struct monitor *monitor);
void engine_receive(struct monitor *monitor);
void engine_connect(struct monitor *monitor, int fd, bool hello);
void engine_disconnect(struct monitor *monitor);
bool engine_is_clogged(const struct monitor *monitor);
void engine_send_output(struct monitor *monitor, int stream, const uint8_t *data, size_t size);
void engine_tell_exit(struct monitor *monitor);
void engine_finish(struct monitor *monitor, const void *payload, size_t size);

/* stdio.c */
void stdio_init(struct stdio *stdio);
int stdio_take_terminal(struct stdio *stdio);
void stdio_close_theirs(struct stdio *stdio);
int stdio_install(const struct stdio *stdio);
void stdio_resize(struct stdio *stdio, uint16_t rows, uint16_t columns);

/* input.c: stdin from the engine to the process */
bool input_is_waiting(const struct monitor *monitor);
size_t input_room(struct monitor *monitor, uint8_t **to);
void input_added(struct monitor *monitor, size_t size);
void input_write(struct monitor *monitor);
void input_close(struct monitor *monitor);
uint32_t input_first_credit(const struct monitor *monitor);
void input_release(struct monitor *monitor);

/* oom.c */
void oom_look(struct monitor *monitor);
void oom_event(struct monitor *monitor);
void oom_finish(struct monitor *monitor);

/* record.c */
void record_write(const struct monitor *monitor);
