/* monitor.c - stays with one process: starts it, keeps its output, serves the engine, records its end, tears down */
#define _GNU_SOURCE
#include "monitor.h"
#include "network.h"
#include "address.h"
#include "frame.h"
#include "launch.h"
#include "process.h"
#include "teardown.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  BUFFER_BYTES = 64 * 1024,
  READS_AT_ONCE = 16,
  IDLE_MS = 1000,
  RECHECK_MS = 20,
  DRAIN_MS = 2000,
  TERMINAL_DRAIN_MS = 500,
};
enum { POLL_ENGINE, POLL_LISTENER, POLL_PROCESS, POLL_STDOUT, POLL_STDERR, POLL_STDIN, POLL_OOM, POLL_COUNT };

static uint8_t *buffer; /* for output; mapped while there is any */

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int perform_log(struct context *context, struct op *op) {
  struct field *f = op->field;
  return log_open(&context->monitor->log, f[0].text, f[1].text, (int)f[2].number, f[3].number, (uint32_t)f[4].number);
}

int perform_listen(struct context *context, struct op *op) {
  context->monitor->listen_path = op->field[0].text;
  context->monitor->listener = listen_at(op->field[0].text);
  return context->monitor->listener < 0 ? -1 : 0;
}

int perform_record(struct context *context, struct op *op) {
  context->monitor->record_path = op->field[0].text;
  return 0;
}

/* ---- output ---- */

static void tell_log_error(struct monitor *monitor) {
  int32_t error = monitor->log.error;
  if (error == monitor->told_log_error) return;
  monitor->told_log_error = error;
  struct {
    int32_t error;
    uint32_t zero;
    uint64_t lost_bytes;
  } told = { error, 0, monitor->log.lost_bytes };
  engine_queue(monitor, FRAME_LOG_ERROR, 0, &told, sizeof told);
}

/* Output is read as fast as it can be kept, or, while someone is subscribed, as it is wanted. */
static bool may_read(const struct monitor *monitor) {
  if (engine_is_clogged(monitor) && monitor->engine.subscribed) return false;
  return monitor->engine.output == NULL && (!monitor->engine.subscribed || monitor->engine.credit > 0);
}

static void end_stream(struct monitor *monitor, int stream) {
  int *fd = &monitor->stdio.ours[stream];
  if (*fd >= 0) close(*fd);
  *fd = -1;
  if (!monitor->ended[stream - 1]) log_end(&monitor->log, stream);
  monitor->ended[stream - 1] = true;
}

/* Reads until there is nothing, or too much at once, or nobody wants more. False when nothing was there. */
static bool read_output(struct monitor *monitor, int stream) {
  bool any = false;
  if (buffer == NULL) {
    void *memory = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    buffer = memory;
  }
  for (int i = 0; i < READS_AT_ONCE && may_read(monitor); i++) {
    size_t wanted = BUFFER_BYTES;
    if (monitor->engine.subscribed && monitor->engine.credit < wanted) wanted = monitor->engine.credit;
    ssize_t got = read(monitor->stdio.ours[stream], buffer, wanted);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    any = true;
    if (got <= 0) { /* a terminal's end is EIO */
      end_stream(monitor, stream);
      break;
    }
    log_write(&monitor->log, stream, buffer, (size_t)got);
    tell_log_error(monitor);
    engine_send_output(monitor, stream, buffer, (size_t)got);
    if ((size_t)got < wanted) break; /* there is no more for now */
  }
  return any;
}

static void release_buffers(struct monitor *monitor) {
  if (buffer != NULL && monitor->engine.output == NULL) {
    munmap(buffer, BUFFER_BYTES);
    buffer = NULL;
  }
  input_release(monitor);
}

/* ---- the end of the process ---- */

static void note_exit(struct monitor *monitor) {
  siginfo_t info = { 0 };
  while (waitid(P_PIDFD, (id_t)monitor->pidfd, &info, WEXITED) != 0)
    if (errno != EINTR) break;
  monitor->exited = true;
  monitor->finished_ns = now_ns();
  monitor->signal = info.si_code == CLD_EXITED ? 0 : (uint32_t)info.si_status;
  monitor->status = monitor->signal == 0 ? (uint32_t)info.si_status & 0xff : 128 + monitor->signal;
  close(monitor->pidfd);
  monitor->pidfd = -1;
  oom_finish(monitor);
  record_write(monitor);
  engine_tell_exit(monitor);
  /* With its pid namespace, all who held the pipes have ended, but the kernel passes a terminal's last output on a little later. */
  bool alone = monitor->own_pid_namespace;
  monitor->drain_deadline_ms = now_ms() + (!alone ? DRAIN_MS : monitor->stdio.terminal ? TERMINAL_DRAIN_MS : 0);
}

/* What is in the pipes when nobody can write any more is all there will be. */
static void drain(struct monitor *monitor) {
  for (int stream = 1; stream <= 2; stream++) {
    if (monitor->ended[stream - 1] || !may_read(monitor)) continue;
    bool any = read_output(monitor, stream);
    if (!any && may_read(monitor) && now_ms() >= monitor->drain_deadline_ms) end_stream(monitor, stream);
  }
}

static void tell_ended(struct monitor *monitor) {
  for (int stream = 1; monitor->exited && stream <= 2; stream++) {
    if (!monitor->ended[stream - 1] || (stream == 2 && !monitor->told_ended[0])) break;
    if (monitor->told_ended[stream - 1]) continue;
    monitor->told_ended[stream - 1] = true;
    engine_queue(monitor, FRAME_EOF, (uint8_t)stream, NULL, 0);
  }
}

static bool is_over(const struct monitor *monitor) {
  return monitor->exited && monitor->ended[0] && monitor->ended[1] && monitor->engine.output == NULL;
}

/* ---- the loop ---- */

static int timeout_ms(const struct monitor *monitor) {
  int timeout = -1;
  if (buffer != NULL || monitor->input.data != NULL) timeout = IDLE_MS;
  if (monitor->oom.recheck > 0) timeout = RECHECK_MS;
  if (monitor->exited && may_read(monitor)) {
    uint64_t now = now_ms();
    timeout = now >= monitor->drain_deadline_ms ? 0 : (int)(monitor->drain_deadline_ms - now);
  }
  return timeout;
}

static void watch(struct monitor *monitor, struct pollfd *fds) {
  bool reading = may_read(monitor);
  short engine_events = POLLIN | (engine_is_clogged(monitor) ? POLLOUT : 0);
  fds[POLL_ENGINE] = (struct pollfd){ monitor->engine.fd, engine_events, 0 };
  fds[POLL_LISTENER] = (struct pollfd){ monitor->listener, POLLIN, 0 };
  fds[POLL_PROCESS] = (struct pollfd){ monitor->pidfd, POLLIN, 0 };
  fds[POLL_STDOUT] = (struct pollfd){ reading ? monitor->stdio.ours[1] : -1, POLLIN, 0 };
  fds[POLL_STDERR] = (struct pollfd){ reading ? monitor->stdio.ours[2] : -1, POLLIN, 0 };
  fds[POLL_STDIN] = (struct pollfd){ input_is_waiting(monitor) ? monitor->stdio.ours[0] : -1, POLLOUT, 0 };
  fds[POLL_OOM] = (struct pollfd){ monitor->oom.event, POLLIN, 0 };
}

static void accept_engine(struct monitor *monitor) {
  int fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) engine_connect(monitor, fd, true);
}

static void serve(struct monitor *monitor) {
  struct pollfd fds[POLL_COUNT];
  for (;;) {
    tell_ended(monitor);
    engine_flush(monitor);
    if (is_over(monitor)) return;
    watch(monitor, fds);
    int ready = poll(fds, POLL_COUNT, timeout_ms(monitor));
    if (ready < 0) continue;
    if (ready == 0 && !monitor->exited && monitor->oom.recheck == 0) release_buffers(monitor);
    if (fds[POLL_STDOUT].revents) read_output(monitor, 1);
    if (fds[POLL_STDERR].revents) read_output(monitor, 2);
    if (fds[POLL_STDIN].revents) input_write(monitor);
    if (fds[POLL_OOM].revents) oom_event(monitor);
    else if (monitor->oom.recheck > 0) oom_look(monitor);
    if (fds[POLL_PROCESS].revents) note_exit(monitor);
    if (fds[POLL_ENGINE].revents) engine_receive(monitor);
    if (fds[POLL_LISTENER].revents) accept_engine(monitor);
    if (monitor->exited) drain(monitor);
  }
}

/* ---- the start ---- */

static void tell_failed(int engine, const struct stop *stop) {
  uint32_t failed[] = { stop->part, stop->index, (uint32_t)stop->error };
  if (message_write(engine, FRAME_FAILED, 0, failed, sizeof failed, NULL, 0) == 0) message_linger(engine);
}

static void tell_started(const struct monitor *monitor, int engine) {
  uint8_t started[12];
  uint32_t pid = (uint32_t)monitor->pid;
  memcpy(started, &pid, 4);
  memcpy(started + 4, &monitor->start_time, 8);
  message_write(engine, FRAME_STARTED, 0, started, sizeof started, NULL, 0);
}

static void ignore_signals(void) {
  static const int ignored[] = { SIGPIPE, SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2 };
  signals_reset(); /* the spawner's children are reaped for it; ours are our affair */
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
}

void monitor_run(int engine, uint8_t *message, size_t size, uint8_t arg) {
  static struct monitor monitor;
  static struct context context;
  struct decoded program;
  struct kept kept = { 0 };
  struct stop stop;

  ignore_signals();
  if (decode_program(message, size, &program) != 0) {
    stop = (struct stop){ program.failed_part, program.failed_index, errno };
    return tell_failed(engine, &stop);
  }
  monitor.engine.fd = monitor.listener = monitor.pidfd = monitor.log.fd = monitor.oom.event = monitor.oom.counter = -1;
  stdio_init(&monitor.stdio);
  context_init(&context);
  context.monitor = &monitor;
  if (launch(&monitor, &context, &program, &stop) != 0) {
    tear_down(&monitor, &context, &program.lists[PART_TEARDOWN], false);
    return tell_failed(engine, &stop);
  }
  tell_started(&monitor, engine);
  network_forget();
  int kept_all = keep(&kept, &monitor, message);
  decoded_free(&program);
  munmap(message, size + 1);
  if (kept_all != 0) _exit(1);
  close_unused_slots(&context, &kept.teardown.lists[0]);

  for (int stream = 1; stream <= 2; stream++) monitor.ended[stream - 1] = monitor.stdio.ours[stream] < 0;
  engine_connect(&monitor, engine, false);
  monitor.engine.subscribed = (arg & 1) != 0;
  serve(&monitor);
  tear_down(&monitor, &context, &kept.teardown.lists[0], true);
}
