/* ops.c - the one table of handlers, and what runs them */
#include "decode.h"
#include "jail.h"
#include "op.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define X(code, name, signature, parts) [code] = { #name, signature, parts, perform_##name },
const struct op_row op_rows[OP_END] = { OPS(X) };
#undef X

void context_init(struct context *context) {
  for (int i = 0; i < MAX_SLOTS; i++) context->slot[i] = -1;
  context->umask = 022;
  context->monitor = NULL;
  context->answer = NULL;
  context->scan = NULL;
  context->jail = -1;
  context->from = AT_FDCWD;
}

int perform(struct context *context, struct op *op) {
  if ((context->jail < 0 || jail_place(context, op) == 0) && op_rows[op->code].perform(context, op) == 0) return 0;
  for (int i = 0; i < MAX_IGNORED; i++)
    if (op->ignored[i] != 0 && op->ignored[i] == errno) return 0;
  return -1;
}

uint32_t perform_all(struct context *context, const struct op_list *list) {
  for (uint32_t i = 0; i < list->count; i++)
    if (perform(context, &list->ops[i]) != 0) return i;
  return list->count;
}

int slot_fd(const struct context *context, const struct field *field) {
  int fd = field->number < MAX_SLOTS ? context->slot[field->number] : -1;
  if (fd < 0) errno = EBADF;
  return fd;
}

/* Takes over a descriptor just opened; passes the failure of the call that should have made it on. */
int slot_set(struct context *context, const struct field *field, int fd) {
  if (fd < 0) return -1;
  int *slot = &context->slot[field->number];
  if (*slot >= 0) close(*slot);
  *slot = fd;
  return 0;
}

int patch_slots(const struct context *context, const struct field *data, const struct field *patches) {
  for (uint32_t i = 0; i < patches->size; i++) {
    const uint8_t *patch = (const uint8_t *)patches->text + (size_t)i * 8;
    struct field slot = { .number = read_u32(patch + 4) };
    int fd = slot_fd(context, &slot);
    if (fd < 0) return -1;
    memcpy(data->text + read_u32(patch), &fd, 4);
  }
  return 0;
}
