/* launch.h - from a decoded program to a running process */
#pragma once
#include "monitor.h"

/* Where a launch stopped. */
struct stop {
  uint32_t part, index;
  int error;
};

/* Performs the host part, whose last op clones the process that performs the child part. */
int launch(struct monitor *monitor, struct context *context, const struct decoded *program, struct stop *stop);
