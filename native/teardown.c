/* teardown.c - see teardown.h */
#define _GNU_SOURCE
#include "teardown.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *keep_text(struct kept *kept, const char *text) {
  if (text == NULL) return NULL;
  size_t size = strlen(text) + 1;
  char *copy = (char *)kept->memory + kept->used;
  memcpy(copy, text, size);
  kept->used += size;
  return copy;
}

static size_t text_bytes(const char *text) { return text == NULL ? 0 : strlen(text) + 1; }

/* The third section of a LAUNCH, with the count that a batch has in front. */
static const uint8_t *teardown_section(const uint8_t *message, size_t *size) {
  for (int i = 0; i < 2; i++) message += 8 + read_u32(message + 4);
  *size = read_u32(message + 4);
  return message;
}

int keep(struct kept *kept, struct monitor *monitor, const uint8_t *message) {
  const char **texts[] = { &monitor->log.name, &monitor->listen_path, &monitor->record_path, &monitor->oom.peak_path, &monitor->oom.usage_path };
  const size_t count = sizeof texts / sizeof *texts;
  size_t section_size;
  const uint8_t *section = teardown_section(message, &section_size);
  kept->size = 4 + section_size;
  for (size_t i = 0; i < count; i++) kept->size += text_bytes(*texts[i]);
  void *memory = mmap(NULL, kept->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -1;
  kept->memory = memory;
  memcpy(kept->memory, section, 4);
  memcpy(kept->memory + 4, section + 8, section_size);
  kept->used = 4 + section_size;
  for (size_t i = 0; i < count; i++) *texts[i] = keep_text(kept, *texts[i]);
  return decode_batch(kept->memory, 4 + section_size, IN_TEARDOWN, &kept->teardown);
}

static void mark_used(uint64_t *used, const struct op *op) {
  const char *signature = op_rows[op->code].signature;
  for (int i = 0; signature[i] != 0; i++) {
    const struct field *field = &op->field[i];
    if ((signature[i] == 'd' || signature[i] == 'D') && field->number < MAX_SLOTS) *used |= 1ull << field->number;
    if (signature[i] != 'p') continue;
    for (uint32_t j = 0; j < field->size; j++) *used |= 1ull << read_u32((uint8_t *)field->text + (size_t)j * 8 + 4);
  }
}

void close_unused_slots(struct context *context, const struct op_list *teardown) {
  uint64_t used = 0;
  for (uint32_t i = 0; i < teardown->count; i++) mark_used(&used, &teardown->ops[i]);
  for (int i = 0; i < MAX_SLOTS; i++) {
    if (used >> i & 1 || context->slot[i] < 0) continue;
    close(context->slot[i]);
    context->slot[i] = -1;
  }
}

/* The payload of TORN_DOWN: u32 count, then u32 index, i32 errno each. */
void tear_down(struct monitor *monitor, struct context *context, const struct op_list *list, bool tell) {
  size_t room = 4 + (size_t)list->count * 8;
  uint8_t *report = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint32_t failures = 0;
  for (uint32_t i = 0; i < list->count; i++) {
    if (perform(context, &list->ops[i]) == 0 || report == MAP_FAILED) continue;
    uint32_t row[] = { i, (uint32_t)errno };
    memcpy(report + 4 + (size_t)failures++ * 8, row, sizeof row);
  }
  if (monitor->listen_path != NULL) unlink(monitor->listen_path);
  if (report == MAP_FAILED || !tell) return;
  memcpy(report, &failures, 4);
  engine_finish(monitor, report, 4 + (size_t)failures * 8);
}
