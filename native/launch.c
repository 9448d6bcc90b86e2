/* launch.c - the clone, and what the child does before it is someone else's program
 *
 * The child shares the monitor's memory until it execs, and the monitor stands still meanwhile (CLONE_VM|CLONE_VFORK): nothing
 * is copied, nothing has to be said between them, and a failure is a note in memory. The child must therefore change
 * nothing that the monitor needs: it has its own stack and its own context. A program with an init can't be cloned like
 * that, since its first process never execs: it gets memory of its own, and a pipe closes when the exec is done. */
#define _GNU_SOURCE
#include "launch.h"
#include "process.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 512 * 1024 };

struct child {
  struct monitor *monitor;
  struct context context;
};

/* clone3 onto a stack of the child's own, which the C library has no function for. */
static long clone_onto(struct clone_request *request, int (*run)(void *), void *argument) {
#if defined(__x86_64__)
  long result;
  register int (*function)(void *) __asm__("r12") = run;
  register void *parameter __asm__("r13") = argument;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%ebp, %%ebp\n\t"
                   "mov %%r13, %%rdi\n\t"
                   "call *%%r12\n\t"
                   "mov %%eax, %%edi\n\t"
                   "mov %[exit], %%eax\n\t"
                   "syscall\n\t"
                   "hlt\n"
                   "1:"
                   : "=a"(result)
                   : "a"((long)SYS_clone3), "D"(request), "S"(sizeof *request), "r"(function), "r"(parameter), [exit] "i"(SYS_exit_group)
                   : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_clone3;
  register long result __asm__("x0") = (long)request;
  register long size __asm__("x1") = sizeof *request;
  register int (*function)(void *) __asm__("x20") = run;
  register void *parameter __asm__("x21") = argument;
  __asm__ volatile("svc #0\n\t"
                   "cbnz x0, 1f\n\t"
                   "mov x29, #0\n\t"
                   "mov x0, x21\n\t"
                   "blr x20\n\t"
                   "mov x8, %[exit]\n\t"
                   "svc #0\n"
                   "1:"
                   : "+r"(result)
                   : "r"(number), "r"(size), "r"(function), "r"(parameter), [exit] "i"(SYS_exit_group)
                   : "memory", "cc");
#else
#error "the executor is written for x86_64 and aarch64"
#endif
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

/* Runs in the child; returns only when it failed. */
static int child_main(void *argument) {
  struct child *child = argument;
  struct monitor *monitor = child->monitor;
  uint32_t done = 0;
  signals_reset();
  setsid();
  syscall(SYS_close_range, 3, ~0u, RANGE_CLOEXEC);
  if (stdio_install(&monitor->stdio) == 0) done = perform_all(&child->context, monitor->child);
  *monitor->failure = (struct failure){ .index = done, .error = errno, .failed = true };
  return 1;
}

static bool has_init(const struct op_list *list) {
  for (uint32_t i = 0; i < list->count; i++)
    if (list->ops[i].code == OP_init) return true;
  return false;
}

static long clone_shared(struct clone_request *request, struct child *child) {
  void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -1;
  request->flags |= CLONE_VM | CLONE_VFORK;
  request->stack = (uint64_t)(uintptr_t)stack;
  request->stack_size = STACK_BYTES;
  long pid = clone_onto(request, child_main, child);
  if (pid < 0 && errno == ENOSYS && (request->flags & CLONE_TO_CGROUP) == 0)
    pid = clone(child_main, (char *)stack + STACK_BYTES, (int)request->flags | SIGCHLD, child, (int *)(uintptr_t)request->pidfd);
  int error = errno;
  munmap(stack, STACK_BYTES);
  errno = error;
  return pid;
}

/* Memory of its own: waits until every copy of the pipe's end is closed, by the exec or by the end. */
static long clone_apart(struct clone_request *request, struct child *child) {
  int ends[2];
  char byte;
  struct failure *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0) return -1;
  struct failure *own = child->monitor->failure;
  child->monitor->failure = shared;
  long pid = syscall(SYS_clone3, request, sizeof *request);
  if (pid < 0 && errno == ENOSYS && (request->flags & CLONE_TO_CGROUP) == 0)
    pid = syscall(SYS_clone, request->flags | SIGCHLD, 0, request->pidfd, 0, 0);
  if (pid == 0) _exit(child_main(child));
  int error = errno;
  close(ends[1]);
  while (pid > 0 && read(ends[0], &byte, 1) < 0 && errno == EINTR) continue;
  close(ends[0]);
  *own = *shared;
  child->monitor->failure = own;
  munmap(shared, sizeof *shared);
  errno = error;
  return pid;
}

static void reap(int pidfd, pid_t pid) {
  siginfo_t info;
  while (waitid(pidfd >= 0 ? P_PIDFD : P_PID, pidfd >= 0 ? (id_t)pidfd : (id_t)pid, &info, WEXITED) != 0 && errno == EINTR) continue;
}

int perform_clone(struct context *context, struct op *op) {
  struct monitor *monitor = context->monitor;
  struct child child = { .monitor = monitor, .context = *context };
  int pidfd = -1;
  struct clone_request request = {
    .flags = op->field[0].number | CLONE_WITH_PIDFD,
    .pidfd = (uint64_t)(uintptr_t)&pidfd,
    .exit_signal = SIGCHLD,
  };
  if (op->field[1].number != NO_SLOT) {
    int cgroup = slot_fd(context, &op->field[1]);
    if (cgroup < 0) return -1;
    request.flags |= CLONE_TO_CGROUP;
    request.cgroup = (uint64_t)cgroup;
  }
  long pid = has_init(monitor->child) ? clone_apart(&request, &child) : clone_shared(&request, &child);
  if (pid < 0) return -1;
  if (!monitor->failure->failed && stdio_take_terminal(&monitor->stdio) != 0) {
    /* The program asked for a terminal and opened none. */
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    *monitor->failure = (struct failure){ .index = monitor->child->count - 1, .error = ENOTTY, .failed = true };
  }
  if (monitor->failure->failed) {
    reap(pidfd, (pid_t)pid);
    close(pidfd);
    errno = monitor->failure->error;
    return -1;
  }
  monitor->pid = (pid_t)pid;
  monitor->pidfd = pidfd;
  monitor->own_pid_namespace = (op->field[0].number & CLONE_NEWPID) != 0;
  process_start_time(monitor->pid, &monitor->start_time);
  return 0;
}

int launch(struct monitor *monitor, struct context *context, const struct decoded *program, struct stop *stop) {
  struct failure failure = { 0 };
  monitor->child = &program->lists[PART_CHILD];
  monitor->failure = &failure;
  uint32_t done = perform_all(context, &program->lists[PART_HOST]);
  int error = errno;
  stdio_close_theirs(&monitor->stdio);
  monitor->child = NULL;
  monitor->failure = NULL;
  if (done == program->lists[PART_HOST].count) return 0;
  *stop = failure.failed ? (struct stop){ PART_CHILD, failure.index, failure.error } : (struct stop){ PART_HOST, done, error };
  return -1;
}
