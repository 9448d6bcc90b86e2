/* address.h - unix sockets under paths of any length */
#pragma once

/* Listens on a path, mode 0600, close-on-exec; a socket left there by another is replaced. */
int listen_at(const char *path);
