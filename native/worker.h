/* worker.h */
#pragma once
#include "frame.h"

void worker_run(int engine, struct message *prelude);
