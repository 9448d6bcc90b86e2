/* process.h - small things about processes and descriptors that several files need */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int write_all(int fd, const char *data, size_t size);
int process_start_time(pid_t pid, uint64_t *start_time);
/* All signals unblocked and at their default. */
void signals_reset(void);
/* Makes /dev/null descriptors 0 to 2. */
int null_stdio(void);
/* Remembers where the title lies; call it once, first. */
void title_keep(int argc, char **argv);
/* Shows another name for this process, with neither paths nor arguments. */
void title_set(const char *title);
