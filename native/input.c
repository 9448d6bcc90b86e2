/* input.c - stdin from the engine to the process, within 64 KiB that the engine is granted */
#define _GNU_SOURCE
#include "frame.h"
#include "monitor.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GRANT_BYTES = STDIN_ROOM / 4 };

bool input_is_waiting(const struct monitor *monitor) { return monitor->input.size > 0 && monitor->stdio.ours[0] >= 0; }

/* What a new engine may send at once. */
uint32_t input_first_credit(const struct monitor *monitor) { return STDIN_ROOM - (uint32_t)monitor->input.size; }

/* Room for the next bytes; when the buffer's end is reached, what is left moves to its start. */
size_t input_room(struct monitor *monitor, uint8_t **to) {
  struct stdin_buffer *input = &monitor->input;
  if (input->data == NULL) {
    void *memory = mmap(NULL, STDIN_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    input->data = memory;
  }
  if (input->start > 0 && input->start + input->size == STDIN_ROOM) {
    memmove(input->data, input->data + input->start, input->size);
    input->start = 0;
  }
  *to = input->data + input->start + input->size;
  return STDIN_ROOM - input->start - input->size;
}

static void grant(struct monitor *monitor, size_t bytes) {
  struct stdin_buffer *input = &monitor->input;
  input->ungranted += bytes;
  if (input->ungranted < GRANT_BYTES && input->size > 0) return;
  uint32_t credit = (uint32_t)input->ungranted;
  input->ungranted = 0;
  if (credit > 0) engine_queue(monitor, FRAME_STDIN_CREDIT, 0, &credit, sizeof credit);
}

static void close_stdin(struct monitor *monitor) {
  if (monitor->stdio.ours[0] >= 0) close(monitor->stdio.ours[0]);
  monitor->stdio.ours[0] = -1;
}

/* The process reads no more: what comes from now on is dropped, and granted, so that the engine doesn't wait for ever. */
static void drop(struct monitor *monitor) {
  struct stdin_buffer *input = &monitor->input;
  size_t dropped = input->size;
  close_stdin(monitor);
  input->start = input->size = 0;
  input->broken = true;
  grant(monitor, dropped);
}

void input_write(struct monitor *monitor) {
  struct stdin_buffer *input = &monitor->input;
  if (monitor->stdio.ours[0] < 0) return drop(monitor);
  while (input->size > 0) {
    ssize_t wrote = write(monitor->stdio.ours[0], input->data + input->start, input->size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) return;
    if (wrote < 0) return drop(monitor);
    input->start += (size_t)wrote;
    input->size -= (size_t)wrote;
    grant(monitor, (size_t)wrote);
  }
  input->start = 0;
  if (input->closing) close_stdin(monitor);
}

void input_added(struct monitor *monitor, size_t size) {
  monitor->input.size += size;
  input_write(monitor);
}

/* A terminal has no end: closing it is the program's affair. */
void input_close(struct monitor *monitor) {
  if (monitor->stdio.terminal) return;
  monitor->input.closing = true;
  if (monitor->input.size == 0) close_stdin(monitor);
}

void input_release(struct monitor *monitor) {
  struct stdin_buffer *input = &monitor->input;
  if (input->data == NULL || input->size > 0) return;
  munmap(input->data, STDIN_ROOM);
  input->data = NULL;
  input->start = 0;
}
