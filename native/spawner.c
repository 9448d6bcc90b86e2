/* spawner.c - tiny, started early, and therefore quick to fork: one child for each connection, which becomes monitor or worker */
#define _GNU_SOURCE
#include "spawner.h"
#include "address.h"
#include "frame.h"
#include "monitor.h"
#include "network.h"
#include "process.h"
#include "worker.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALIVE_FD = 0, READY_FD = 1, LOCK_FD = 3, PATH_BYTES = 4096 };

static int say(const char *line) { return write_all(READY_FD, line, strlen(line)); }

static int refuse(const char *what) {
  char line[256];
  snprintf(line, sizeof line, "error: %s: %s\n", what, strerror(errno));
  say(line);
  return 1;
}

static void serve_connection(int engine) {
  struct message message;
  setsid();
  if (null_stdio() != 0 || message_read(engine, &message) != 0) return;
  if (message.header.type == FRAME_PREPARE) {
    message_free(&message);
    network_prepare();
    if (message_read(engine, &message) != 0) return;
  }
  if (message.header.type == FRAME_LAUNCH) monitor_run(engine, message.payload, message.header.size, message.header.arg);
  if (message.header.type == FRAME_WORK) worker_run(engine, &message);
}

static void accept_connection(int listener, bool locked) {
  int engine = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (engine < 0) return;
  if (fork() == 0) {
    close(listener);
    if (locked) close(LOCK_FD);
    serve_connection(engine);
    _exit(0);
  }
  close(engine);
}

/* Until the engine is gone: then its end of our stdin is closed. */
static int serve(int listener, bool locked) {
  struct pollfd fds[] = { { ALIVE_FD, POLLIN, 0 }, { listener, POLLIN, 0 } };
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    char byte;
    if (fds[0].revents != 0 && read(ALIVE_FD, &byte, 1) <= 0) return 0;
    if (fds[1].revents != 0) accept_connection(listener, locked);
  }
}

static void prepare_signals(void) {
  struct sigaction reaped = { .sa_handler = SIG_IGN, .sa_flags = SA_NOCLDWAIT };
  signals_reset();
  sigaction(SIGCHLD, &reaped, NULL);
  signal(SIGPIPE, SIG_IGN);
}

int spawner_run(const char *directory) {
  char path[PATH_BYTES];
  bool locked = fcntl(LOCK_FD, F_GETFD) >= 0;
  prepare_signals();
  umask(0); /* modes are what the ops say; the exec op sets the container's own */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (locked) {
    fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC);
    if (flock(LOCK_FD, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? (say("locked\n"), 1) : refuse("flock of the data root's lock");
  }
  setsid();
  if (unshare(CLONE_NEWNS) != 0) return refuse("unshare of the mount namespace");
  if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) != 0) return refuse("making the mounts a slave of the host's");
  int size = snprintf(path, sizeof path, "%s/spawner.sock", directory);
  if (size < 0 || (size_t)size >= sizeof path) return refuse("the socket's path");
  int listener = listen_at(path);
  if (listener < 0) return refuse(path);
  if (chdir("/") != 0 || say("ready\n") != 0) return 1;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, READY_FD);
    close(null);
  }
  return serve(listener, locked);
}
