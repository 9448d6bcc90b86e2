/* jail.h - paths that can't leave the worker's root, whatever others do meanwhile */
#pragma once
#include <stdint.h>

struct context;
struct op;

/* Opens a path: in a jail inside its root, never through a link of /proc that leads to another; without one as open(2) does. */
int jail_open(const struct context *context, const char *path, uint64_t flags);
/* Makes the folder of a path the current directory; what is left of the path is its last component, or "." */
int jail_enter(const struct context *context, char **path);
/* In a jail: goes to where an operation takes place, so that its handler needs only a last component. */
int jail_place(struct context *context, struct op *op);
