/* spawner.h */
#pragma once

/* Listens on DIRECTORY/spawner.sock until the engine is gone; returns the exit status. */
int spawner_run(const char *directory);
