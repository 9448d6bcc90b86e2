/* init.c - a tiny PID 1 for programs that aren't made to be one */
#define _GNU_SOURCE
#include "op.h"
#include "process.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reaps whoever has ended; returns the main process's exit status once it has, else -1. */
static int reap_all(pid_t main_process) {
  int status, result = -1;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == main_process) result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

static void be_init(pid_t main_process, const sigset_t *all) {
  /* It is seen inside: the host's paths are none of the container's business. */
  title_set("onggi-init");
  /* Held open, they would hide that the program has closed its own. */
  syscall(SYS_close_range, 0, ~0u, 0);
  for (;;) {
    int number = sigwaitinfo(all, NULL);
    if (number < 0) continue;
    if (number != SIGCHLD) {
      kill(main_process, number);
      continue;
    }
    int status = reap_all(main_process);
    if (status >= 0) _exit(status);
  }
}

int perform_init(struct context *context, struct op *op) {
  (void)context;
  (void)op;
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid > 0) be_init(pid, &all);
  if (pid < 0) return -1;
  /* A group of its own, in the terminal's foreground: keys then reach it once, not by init too. */
  setpgid(0, 0);
  tcsetpgrp(0, getpid());
  return sigprocmask(SIG_SETMASK, &before, NULL);
}
