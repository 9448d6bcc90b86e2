/* address.c - see address.h; a path too long for sockaddr_un is reached through its directory's descriptor */
#define _GNU_SOURCE
#include "address.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static int open_directory_of(const char *path, const char *slash) {
  char directory[PATH_BYTES];
  size_t size = (size_t)(slash - path);
  if (size >= sizeof directory) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(directory, path, size);
  directory[size] = 0;
  return open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int fill(struct sockaddr_un *address, const char *path, int *directory) {
  const char *slash = strrchr(path, '/');
  int size;
  *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (strlen(path) < sizeof address->sun_path || slash == NULL) {
    size = snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
  } else {
    *directory = open_directory_of(path, slash);
    if (*directory < 0) return -1;
    size = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s", *directory, slash);
  }
  if (size > 0 && (size_t)size < sizeof address->sun_path) return 0;
  errno = ENAMETOOLONG;
  return -1;
}

int listen_at(const char *path) {
  struct sockaddr_un address;
  int directory = -1, fd = -1, result = -1;
  if (fill(&address, path, &directory) == 0) {
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0600) == 0
        && listen(fd, 128) == 0)
      result = fd;
  }
  int error = errno;
  if (directory >= 0) close(directory);
  if (result < 0 && fd >= 0) close(fd);
  errno = error;
  return result;
}
