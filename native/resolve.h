/* resolve.h - paths that stay inside the root, or inside the current directory when they are relative */
#pragma once
#include <sys/types.h>

/* What a mount's target becomes when it isn't there: the numbers of the field `create`. */
enum make { MAKE_NOTHING, MAKE_DIRECTORY, MAKE_FILE, MAKE_LIKE };

/* Opens a path; a relative one is resolved as if the current directory were the root. */
int resolve(const char *path, int flags);
/* Makes a directory or an empty file, and the directories above it. */
int make_at(const char *path, enum make make);
/* mkdir -p: what is there already stays as it is. */
int make_directories(const char *path, mode_t mode);
