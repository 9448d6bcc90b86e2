/* title.c - what others read of this process in /proc/PID/cmdline and /proc/PID/comm */
#define _GNU_SOURCE
#include "process.h"
#include <string.h>
#include <sys/prctl.h>

static char *room;
static size_t room_size;

/* The arguments lie one behind the other, and the kernel shows that memory as it is. */
void title_keep(int argc, char **argv) {
  room = argv[0];
  room_size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - room);
}

void title_set(const char *title) {
  prctl(PR_SET_NAME, title);
  if (room == NULL) return;
  memset(room, 0, room_size);
  strncpy(room, title, room_size);
}
