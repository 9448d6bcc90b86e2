/* network.c - see network.h */
#define _GNU_SOURCE
#include "network.h"
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

static int prepared = -1;
static bool taken; /* by a child that shares our memory, though not our descriptors */

static int own_network(void) { return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC); }

void network_prepare(void) {
  if (prepared >= 0) return;
  int home = own_network();
  if (home < 0) return;
  if (unshare(CLONE_NEWNET) == 0) {
    prepared = own_network();
    if (setns(home, CLONE_NEWNET) != 0) _exit(1); /* nothing here would be right in the other one */
  }
  close(home);
}

int network_enter(void) {
  if (prepared < 0 || taken) return unshare(CLONE_NEWNET);
  taken = true;
  return setns(prepared, CLONE_NEWNET);
}

void network_forget(void) {
  if (prepared >= 0) close(prepared);
  prepared = -1;
}
