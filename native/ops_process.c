/* ops_process.c - what a process is: namespaces, names, limits, user, capabilities, filter */
#define _GNU_SOURCE
#include "decode.h"
#include "network.h"
#include "op.h"
#include "process.h"
#include "resolve.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_GROUPS = 1024, KERNEL_SIGNAL_BYTES = 8, LAST_SIGNAL = 64, PATH_BYTES = 4096 };


int perform_unshare(struct context *context, struct op *op) {
  (void)context;
  int flags = (int)op->field[0].number;
  if ((flags & CLONE_NEWNET) != 0 && network_enter() != 0) return -1;
  flags &= ~CLONE_NEWNET;
  return flags == 0 ? 0 : unshare(flags);
}

int perform_setns(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  return fd < 0 ? -1 : setns(fd, (int)op->field[1].number);
}

int perform_setHostname(struct context *context, struct op *op) {
  (void)context;
  return sethostname(op->field[0].text, op->field[0].size);
}

int perform_setDomainname(struct context *context, struct op *op) {
  (void)context;
  return setdomainname(op->field[0].text, op->field[0].size);
}

int perform_setRlimit(struct context *context, struct op *op) {
  (void)context;
  struct rlimit limit = { op->field[1].number, op->field[2].number };
  return (int)syscall(SYS_prlimit64, 0, (int)op->field[0].number, &limit, NULL);
}

int perform_prctl(struct context *context, struct op *op) {
  (void)context;
  struct field *f = op->field;
  return (int)syscall(SYS_prctl, f[0].number, f[1].number, f[2].number, f[3].number, f[4].number) < 0 ? -1 : 0;
}

int perform_boundingSet(struct context *context, struct op *op) {
  (void)context;
  for (int capability = 0; capability < 64; capability++) {
    if (op->field[0].number >> capability & 1) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    return errno == EINVAL ? 0 : -1; /* beyond the last one that this kernel knows */
  }
  return 0;
}

int perform_capset(struct context *context, struct op *op) {
  (void)context;
  uint64_t effective = op->field[0].number, permitted = op->field[1].number, inheritable = op->field[2].number;
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct data[2] = {
    { (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
    { (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
  };
  return (int)syscall(SYS_capset, &header, data);
}

int perform_ambientSet(struct context *context, struct op *op) {
  (void)context;
  for (int capability = 0; capability < 64; capability++)
    if (op->field[0].number >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return -1;
  return 0;
}

/* Pipes and terminal go to the user first, so that it may open /dev/stdout; /dev/null stays root's. */
static void give_stdio(uid_t uid) {
  struct stat info;
  for (int fd = 0; fd < 3; fd++) {
    if (fstat(fd, &info) != 0 || info.st_uid == uid) continue;
    bool terminal = S_ISCHR(info.st_mode) && info.st_rdev != makedev(1, 3);
    if (S_ISFIFO(info.st_mode) || terminal) (void)!fchown(fd, uid, (gid_t)-1);
  }
}

/* Raw calls: the C library's would look for other threads of ours, in memory that a vforked child shares. */
int perform_setUser(struct context *context, struct op *op) {
  (void)context;
  uint32_t groups[MAX_GROUPS], count = op->field[2].size;
  uid_t uid = (uid_t)op->field[0].number;
  gid_t gid = (gid_t)op->field[1].number;
  if (count > MAX_GROUPS) {
    errno = EINVAL;
    return -1;
  }
  for (uint32_t i = 0; i < count; i++) groups[i] = read_u32((uint8_t *)op->field[2].text + (size_t)i * 4);
  give_stdio(uid);
  return syscall(SYS_setgroups, count, groups) != 0 || syscall(SYS_setresgid, gid, gid, gid) != 0
             || syscall(SYS_setresuid, uid, uid, uid) != 0
           ? -1
           : 0;
}

int perform_seccomp(struct context *context, struct op *op) {
  (void)context;
  struct sock_fprog filter = { (unsigned short)(op->field[1].size / 8), (struct sock_filter *)op->field[1].text };
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)op->field[0].number, &filter) < 0 ? -1 : 0;
}

/* Kept until the exec: modes of files that the steps make are exact. */
int perform_umask(struct context *context, struct op *op) {
  context->umask = (int)op->field[0].number & 0777;
  return 0;
}

/* A directory outside the root is refused: the kernel shows it as "(unreachable)/…". */
static int check_reachable(void) {
  char path[PATH_BYTES];
  long size = syscall(SYS_getcwd, path, sizeof path);
  if (size < 0 && errno != ENAMETOOLONG && errno != ERANGE) return -1;
  if (size > 0 && path[0] != '/') {
    errno = ENOENT;
    return -1;
  }
  return 0;
}

int perform_chdir(struct context *context, struct op *op) {
  (void)context;
  if (op->field[1].number != 0 && make_directories(op->field[0].text, 0755) != 0) return -1;
  return chdir(op->field[0].text) != 0 ? -1 : check_reachable();
}

int perform_chroot(struct context *context, struct op *op) {
  (void)context;
  return chroot(op->field[0].text);
}

int perform_oomScoreAdj(struct context *context, struct op *op) {
  (void)context;
  char text[16];
  int size = snprintf(text, sizeof text, "%d", (int)op->field[0].number);
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = write_all(fd, text, (size_t)size), error = errno;
  close(fd);
  errno = error;
  return result;
}

void signals_reset(void) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } action = { SIG_DFL, 0, NULL, 0 };
  for (int number = 1; number <= LAST_SIGNAL; number++) syscall(SYS_rt_sigaction, number, &action, NULL, KERNEL_SIGNAL_BYTES);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &action.mask, NULL, KERNEL_SIGNAL_BYTES);
}

/* Tries DIR/file for each directory of the path, as a shell does. */
static int exec_along(const char *file, const char *search_path, char **argv, char **env) {
  char path[PATH_BYTES];
  int error = ENOENT;
  for (const char *from = search_path;; from++) {
    size_t length = strcspn(from, ":");
    int size = snprintf(path, sizeof path, "%.*s%s%s", (int)length, from, length == 0 ? "./" : "/", file);
    if (size > 0 && (size_t)size < sizeof path) {
      execve(path, argv, env);
      if (errno == EACCES) error = EACCES;
      else if (errno != ENOENT && errno != ENOTDIR) return -1;
    }
    from += length;
    if (*from == 0) break;
  }
  errno = error;
  return -1;
}

int perform_exec(struct context *context, struct op *op) {
  char *file = op->field[0].text, **argv = op->field[1].list, **env = op->field[2].list;
  umask((mode_t)context->umask);
  if (strchr(file, '/') == NULL && file[0] != 0) return exec_along(file, op->field[3].text, argv, env);
  return execve(file, argv, env);
}
