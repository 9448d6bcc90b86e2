/* ops_file.c - files of a jail or of the host; the last component of a path is never followed */
#define _GNU_SOURCE
#include "answer.h"
#include "op.h"
#include "process.h"
#include "resolve.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

int perform_mkdir(struct context *context, struct op *op) {
  (void)context;
  mode_t mode = (mode_t)op->field[1].number;
  return op->field[2].number != 0 ? make_directories(op->field[0].text, mode) : mkdir(op->field[0].text, mode);
}

static int write_and_close(int fd, const struct field *data) {
  if (fd < 0) return -1;
  int result = write_all(fd, data->text, data->size), error = errno;
  if (close(fd) != 0 && result == 0) return -1;
  errno = error;
  return result;
}

/* A pipe or terminal that lies there instead of a file is refused, not waited for. */
int perform_writeFile(struct context *context, struct op *op) {
  (void)context;
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (op->field[3].number != 0 ? O_EXCL : O_TRUNC);
  return write_and_close(open(op->field[0].text, flags, (mode_t)op->field[2].number), &op->field[1]);
}

int perform_writeControl(struct context *context, struct op *op) {
  (void)context;
  return write_and_close(open(op->field[0].text, O_WRONLY | O_CLOEXEC), &op->field[1]);
}

int perform_symlink(struct context *context, struct op *op) {
  (void)context;
  return symlink(op->field[0].text, op->field[1].text);
}

int perform_link(struct context *context, struct op *op) {
  return linkat(context->from, op->field[0].text, AT_FDCWD, op->field[1].text, 0);
}

int perform_mknod(struct context *context, struct op *op) {
  (void)context;
  dev_t device = makedev((unsigned)op->field[2].number, (unsigned)op->field[3].number);
  return mknod(op->field[0].text, (mode_t)op->field[1].number, device);
}

int perform_chown(struct context *context, struct op *op) {
  (void)context;
  return fchownat(AT_FDCWD, op->field[0].text, (uid_t)op->field[1].number, (gid_t)op->field[2].number, AT_SYMLINK_NOFOLLOW);
}

/* Before Linux 6.6 no call changes a mode without following: a held file is named through /proc, or, in a jail without one,
 * opened; what can't be opened harmlessly (a device, a socket) is looked at and then changed by name. */
static int chmod_held(const char *path, mode_t mode) {
  char name[32];
  struct stat info;
  int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), result = -1;
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0) {
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (S_ISLNK(info.st_mode)) {
      errno = EOPNOTSUPP;
    } else if ((result = chmod(name, mode)) != 0 && errno == ENOENT) {
      if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
        int real = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        result = real < 0 ? -1 : fchmod(real, mode);
        if (real >= 0) close(real);
      } else {
        result = chmod(path, mode);
      }
    }
  }
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

int perform_chmod(struct context *context, struct op *op) {
  (void)context;
  mode_t mode = (mode_t)op->field[1].number & 07777;
  long result = syscall(SYS_fchmodat2, AT_FDCWD, op->field[0].text, mode, AT_SYMLINK_NOFOLLOW);
  return result != 0 && errno == ENOSYS ? chmod_held(op->field[0].text, mode) : (int)result;
}

/* Times before 1970 are negative numbers of nanoseconds. */
static struct timespec timespec_of(uint64_t ns) {
  int64_t value = (int64_t)ns, seconds = value / 1000000000, rest = value % 1000000000;
  if (rest < 0) {
    rest += 1000000000;
    seconds--;
  }
  return (struct timespec){ .tv_sec = seconds, .tv_nsec = rest };
}

int perform_utimens(struct context *context, struct op *op) {
  (void)context;
  struct timespec times[] = { timespec_of(op->field[1].number), timespec_of(op->field[2].number) };
  return utimensat(AT_FDCWD, op->field[0].text, times, AT_SYMLINK_NOFOLLOW);
}

int perform_setxattr(struct context *context, struct op *op) {
  (void)context;
  return lsetxattr(op->field[0].text, op->field[1].text, op->field[2].text, op->field[2].size, 0);
}

int perform_rename(struct context *context, struct op *op) {
  return renameat(context->from, op->field[0].text, AT_FDCWD, op->field[1].text);
}

int perform_createFile(struct context *context, struct op *op) {
  int fd = open(op->field[1].text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)op->field[2].number);
  return slot_set(context, &op->field[0], fd);
}

/* A hole is a seek; at the file's end it takes a truncate to be there. */
int perform_append(struct context *context, struct op *op) {
  int fd = slot_fd(context, &op->field[0]);
  if (fd < 0) return -1;
  if (op->field[1].number != 0) {
    off_t end = lseek(fd, (off_t)op->field[1].number, SEEK_END);
    if (end < 0 || (op->field[2].size == 0 && ftruncate(fd, end) != 0)) return -1;
  }
  return write_all(fd, op->field[2].text, op->field[2].size);
}

int perform_readFile(struct context *context, struct op *op) {
  int fd = open(op->field[0].text, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  int result = answer_file(context->answer, fd, op->field[1].number), error = errno;
  close(fd);
  errno = error;
  return result;
}

/* Without an argument the call's own result is the answer. */
static int call_ioctl(struct context *context, int fd, const struct op *op) {
  const struct field *argument = &op->field[3];
  int result = ioctl(fd, op->field[2].number, argument->size == 0 ? NULL : argument->text);
  if (result < 0) return -1;
  return argument->size == 0 ? answer_bytes(context->answer, &result, sizeof result)
                             : answer_bytes(context->answer, argument->text, argument->size);
}

int perform_ioctl(struct context *context, struct op *op) {
  if (patch_slots(context, &op->field[3], &op->field[4]) != 0) return -1;
  int fd = open(op->field[0].text, (int)op->field[1].number | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = call_ioctl(context, fd, op), error = errno;
  close(fd);
  errno = error;
  return result;
}

/* The size of each command's argument is the kernel's own; a page holds any. */
int perform_quotactl(struct context *context, struct op *op) {
  static uint8_t argument[4096];
  const struct field *data = &op->field[3];
  if (data->size > sizeof argument) return errno = EINVAL, -1;
  memcpy(argument, data->text, data->size);
  int fd = open(op->field[0].text, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  long result = syscall(SYS_quotactl_fd, fd, (unsigned)op->field[1].number, (unsigned)op->field[2].number, argument);
  int error = errno;
  close(fd);
  errno = error;
  return result < 0 ? -1 : answer_bytes(context->answer, argument, data->size);
}
