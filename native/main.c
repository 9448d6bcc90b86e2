/* main.c - onggi-exec: the door to the kernel
 *
 *   onggi-exec spawner DIRECTORY   serves DIRECTORY/spawner.sock, see src/executor/protocol.md
 *   onggi-exec table               prints code, name and signature of each op */
#define _GNU_SOURCE
#include "op.h"
#include "process.h"
#include "spawner.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

static int print_table(void) {
  for (int code = 1; code < OP_END; code++) printf("%d %s %s\n", code, op_rows[code].name, op_rows[code].signature);
  return fflush(stdout) == 0 ? 0 : 1;
}

static int sealed_copy(int from) {
  struct stat info;
  int to = memfd_create("onggi-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (to < 0 && errno == EINVAL) to = memfd_create("onggi-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (to < 0 || fstat(from, &info) != 0) return -1;
  for (off_t at = 0; at < info.st_size;)
    if (sendfile(to, from, &at, (size_t)(info.st_size - at)) <= 0) return -1;
  return fcntl(to, F_ADD_SEALS, SEALS) == 0 ? to : -1;
}

/* Runs this program again from memory that nobody can write to: a container that gets at /proc/PID/exe can change nothing. */
static int run_sealed(char **argv, char **env) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) return -1;
  int seals = fcntl(self, F_GET_SEALS);
  if (seals >= 0 && (seals & SEALS) == SEALS) return close(self);
  int copy = sealed_copy(self);
  if (copy < 0) return -1;
  close(self);
  return fexecve(copy, argv, env);
}

int main(int argc, char **argv, char **env) {
  if (argc == 2 && strcmp(argv[1], "table") == 0) return print_table();
  if (argc != 3 || strcmp(argv[1], "spawner") != 0) {
    fprintf(stderr, "usage: onggi-exec spawner DIRECTORY | onggi-exec table\n");
    return 2;
  }
  if (run_sealed(argv, env) != 0) {
    printf("error: running from a sealed copy: %s\n", strerror(errno));
    return 1;
  }
  title_keep(argc, argv);
  return spawner_run(argv[2]);
}
