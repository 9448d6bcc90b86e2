/* ops_unpack.c - whole files made of ranges of an open one: how layers are unpacked from their tar */
#define _GNU_SOURCE
#include "decode.h"
#include "op.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* From here on the kernel's own copy is faster, and shares the blocks where a file system can. */
enum { LARGE = 1 << 20, BUFFER = 1 << 18 };
/* A worker is a process of one thread. */
static char buffer[BUFFER];

/* The tar is shorter than it was said to be. */
static int cut_short(void) {
  errno = ENODATA;
  return -1;
}

static int copy_by_hand(int from, uint64_t at, int to, uint64_t length) {
  while (length > 0) {
    ssize_t got = pread(from, buffer, length < BUFFER ? (size_t)length : BUFFER, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) return cut_short();
    if (write_all(to, buffer, (size_t)got) != 0) return -1;
    at += (uint64_t)got;
    length -= (uint64_t)got;
  }
  return 0;
}

static int copy(int from, uint64_t at, int to, uint64_t length) {
  while (length >= LARGE) {
    loff_t offset = (loff_t)at;
    ssize_t got = copy_file_range(from, &offset, to, NULL, (size_t)length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG)) return -1;
    if (got <= 0) break; /* another file system, or one that can't */
    at += (uint64_t)got;
    length -= (uint64_t)got;
  }
  return copy_by_hand(from, at, to, length);
}

/* extents: u64 offset in the file, u64 offset in the other, u64 length each; the file's own position follows. */
static int fill(int from, int to, uint64_t size, const struct field *extents) {
  uint64_t end = 0;
  for (uint32_t at = 0; at + 24 <= extents->size; at += 24) {
    const uint8_t *extent = (const uint8_t *)extents->text + at;
    uint64_t offset = read_u64(extent), length = read_u64(extent + 16);
    if (offset != end && lseek(to, (off_t)offset, SEEK_SET) < 0) return -1;
    if (copy(from, read_u64(extent + 8), to, length) != 0) return -1;
    end = offset + length;
  }
  return end == size ? 0 : ftruncate(to, (off_t)size);
}

/* Owner before mode, since it clears setuid bits. */
static int dress(int fd, uint64_t owner, mode_t mode, int64_t mtime_ns) {
  struct timespec times[2];
  int64_t seconds = mtime_ns / 1000000000, rest = mtime_ns % 1000000000;
  if (rest < 0) {
    rest += 1000000000;
    seconds--;
  }
  times[0] = times[1] = (struct timespec){ .tv_sec = seconds, .tv_nsec = rest };
  if (owner != UINT64_MAX && fchown(fd, (uid_t)owner, (gid_t)(owner >> 32)) != 0) return -1;
  if ((mode & 07000) != 0 && fchmod(fd, mode) != 0) return -1;
  return futimens(fd, times);
}

int perform_placeFile(struct context *context, struct op *op) {
  int from = slot_fd(context, &op->field[0]);
  if (from < 0) return -1;
  const uint8_t *header = (const uint8_t *)op->field[5].text;
  if (op->field[5].size < 8 || (op->field[5].size - 8) % 24 != 0) {
    errno = EINVAL;
    return -1;
  }
  struct field extents = { .text = op->field[5].text + 8, .size = op->field[5].size - 8 };
  mode_t mode = (mode_t)op->field[2].number & 07777;
  int fd = open(op->field[1].text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
  if (fd < 0) return -1;
  int result = fill(from, fd, read_u64(header), &extents);
  if (result == 0) result = dress(fd, op->field[3].number, mode, (int64_t)op->field[4].number);
  int error = errno;
  if (close(fd) != 0 && result == 0) return -1;
  errno = error;
  return result;
}
