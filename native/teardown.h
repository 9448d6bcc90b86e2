/* teardown.h - what a monitor keeps of its program while the process runs, and does after the end */
#pragma once
#include "monitor.h"

/* What outlives the program's message: its teardown part and a few strings. */
struct kept {
  uint8_t *memory;
  size_t size, used;
  struct decoded teardown;
};

/* Copies them, and points the monitor's strings to the copies. */
int keep(struct kept *kept, struct monitor *monitor, const uint8_t *message);
/* What only the start needed would hold mounts, namespaces and cgroups alive. */
void close_unused_slots(struct context *context, const struct op_list *teardown);
/* Performs every op, whatever fails before, and tells the engine if asked. */
void tear_down(struct monitor *monitor, struct context *context, const struct op_list *list, bool tell);
