/* decode.c - see protocol.md for the encoding */
#include "decode.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

struct reader {
  uint8_t *at, *end;
};

/* Room for the ops and the pointer arrays of their lists; its size is known before, so it never moves. */
struct arena {
  uint8_t *at, *end;
};

enum { OP_HEADER_BYTES = 8, LIST_HEADER_BYTES = 8 };

uint16_t read_u16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
uint32_t read_u32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
uint64_t read_u64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static int malformed(void) {
  errno = EBADMSG;
  return -1;
}

static size_t left(const struct reader *in) { return (size_t)(in->end - in->at); }

static int take_u32(struct reader *in, uint32_t *out) {
  if (left(in) < 4) return malformed();
  *out = read_u32(in->at);
  in->at += 4;
  return 0;
}

static void *arena_take(struct arena *arena, size_t size) {
  if ((size_t)(arena->end - arena->at) < size) {
    malformed();
    return NULL;
  }
  void *taken = arena->at;
  arena->at += size;
  return taken;
}

/* s: u32 length, bytes without NUL, NUL */
static int take_string(struct reader *in, char **text, uint32_t *size) {
  uint32_t length;
  if (take_u32(in, &length) != 0) return -1;
  if (left(in) <= length || in->at[length] != 0 || memchr(in->at, 0, length) != NULL) return malformed();
  *text = (char *)in->at;
  *size = length;
  in->at += (size_t)length + 1;
  return 0;
}

/* l: u32 count, then strings */
static int take_list(struct reader *in, struct arena *arena, struct field *field) {
  uint32_t count, ignored;
  if (take_u32(in, &count) != 0) return -1;
  if (count > left(in) / 5) return malformed();
  field->list = arena_take(arena, ((size_t)count + 1) * sizeof(char *));
  if (field->list == NULL) return -1;
  field->size = count;
  for (uint32_t i = 0; i < count; i++)
    if (take_string(in, &field->list[i], &ignored) != 0) return -1;
  field->list[count] = NULL;
  return 0;
}

/* b, g, p: u32 count, then items of `width` bytes, used where they lie */
static int take_items(struct reader *in, struct field *field, unsigned width) {
  if (take_u32(in, &field->size) != 0) return -1;
  if (field->size > left(in) / width) return malformed();
  field->text = (char *)in->at;
  in->at += (size_t)field->size * width;
  return 0;
}

/* d, D: the number of a slot; D may have none */
static int check_slot(const struct field *field, bool optional) {
  return field->number < MAX_SLOTS || (optional && field->number == NO_SLOT) ? 0 : malformed();
}

static int take_field(struct reader *in, struct arena *arena, char kind, struct field *field) {
  switch (kind) {
    case 's': return take_string(in, &field->text, &field->size);
    case 'l': return take_list(in, arena, field);
    case 'b': return take_items(in, field, 1);
    case 'g': return take_items(in, field, 4);
    case 'p': return take_items(in, field, 8);
  }
  if (left(in) < 8) return malformed();
  field->number = read_u64(in->at);
  field->size = 0;
  in->at += 8;
  return kind == 'x' ? 0 : check_slot(field, kind == 'D');
}

/* p: places within the data, of slots that may be */
static int check_patches(const struct field *data, const struct field *patches) {
  for (uint32_t i = 0; i < patches->size; i++) {
    const uint8_t *patch = (const uint8_t *)patches->text + (size_t)i * 8;
    if (data->size < 4 || read_u32(patch) > data->size - 4 || read_u32(patch + 4) >= MAX_SLOTS) return malformed();
  }
  return 0;
}

/* What needs more than a signature says. */
static int check_contents(const struct op *op) {
  if (op->code == OP_netlink && check_patches(&op->field[1], &op->field[2]) != 0) return -1;
  if (op->code == OP_ioctl && check_patches(&op->field[3], &op->field[4]) != 0) return -1;
  /* The size that the kernel reads and writes is in the request's number: it must lie in the message. */
  if (op->code == OP_ioctl && op->field[3].size > 0 && op->field[3].size < _IOC_SIZE(op->field[2].number)) return malformed();
  if (op->code == OP_seccomp && (op->field[1].size == 0 || op->field[1].size % 8 != 0 || op->field[1].size / 8 > 4096))
    return malformed();
  if (op->code == OP_exec && op->field[1].size == 0) return malformed();
  return 0;
}

static int take_op(struct reader *in, struct arena *arena, unsigned part, struct op *op) {
  if (left(in) < OP_HEADER_BYTES) return malformed();
  op->code = read_u16(in->at);
  uint16_t flags = read_u16(in->at + 2);
  uint32_t length = read_u32(in->at + 4);
  in->at += OP_HEADER_BYTES;
  if (op->code == 0 || op->code >= OP_END || flags != 0 || length > left(in) || length < 2 * MAX_IGNORED) return malformed();
  if ((op_rows[op->code].parts & part) == 0) return malformed();

  struct reader body = { in->at, in->at + length };
  for (int i = 0; i < MAX_IGNORED; i++, body.at += 2) op->ignored[i] = read_u16(body.at);
  const char *signature = op_rows[op->code].signature;
  for (int i = 0; signature[i] != 0; i++)
    if (take_field(&body, arena, signature[i], &op->field[i]) != 0) return -1;
  if (left(&body) != 0) return malformed();
  in->at = body.end;
  return check_contents(op);
}

static int take_ops(struct reader *in, struct arena *arena, unsigned part, uint32_t count, struct decoded *out, struct op_list *list) {
  list->ops = arena_take(arena, (size_t)count * sizeof(struct op));
  list->count = count;
  if (list->ops == NULL) return -1;
  for (uint32_t i = 0; i < count; i++) {
    out->failed_index = i;
    if (take_op(in, arena, part, &list->ops[i]) != 0) return -1;
  }
  return left(in) == 0 ? 0 : malformed();
}

/* An op takes at least 16 bytes and a list's string at least 5, so the room needed is bounded by the message's size. */
static int arena_open(struct arena *arena, size_t ops, size_t message_size, struct decoded *out) {
  if (ops > MAX_OPS) {
    errno = E2BIG;
    return -1;
  }
  if (ops > message_size / (OP_HEADER_BYTES + 2 * MAX_IGNORED)) return malformed();
  size_t size = ops * (sizeof(struct op) + MAX_FIELDS * sizeof(char *)) + message_size / 5 * sizeof(char *) + 64;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -1;
  out->memory = memory;
  out->memory_size = size;
  arena->at = memory;
  arena->end = arena->at + size;
  return 0;
}

static int fail(struct decoded *out) {
  int error = errno;
  decoded_free(out);
  errno = error;
  return -1;
}

/* The clone ends the host part and stands nowhere else; the exec ends the child's. */
static int check_shape(const struct decoded *out) {
  const struct op_list *host = &out->lists[PART_HOST], *child = &out->lists[PART_CHILD];
  if (host->count == 0 || child->count == 0) return malformed();
  for (uint32_t i = 0; i < host->count; i++)
    if ((host->ops[i].code == OP_clone) != (i + 1 == host->count)) return malformed();
  for (uint32_t i = 0; i < child->count; i++)
    if ((child->ops[i].code == OP_exec) != (i + 1 == child->count)) return malformed();
  return 0;
}

int decode_program(uint8_t *message, size_t size, struct decoded *out) {
  static const unsigned parts[] = { IN_HOST, IN_CHILD, IN_TEARDOWN };
  struct reader sections[3], in = { message, message + size };
  uint32_t counts[3];
  size_t total = 0;
  memset(out, 0, sizeof *out);
  for (int i = 0; i < 3; i++) {
    uint32_t bytes;
    if (take_u32(&in, &counts[i]) != 0 || take_u32(&in, &bytes) != 0) return -1;
    if (bytes > left(&in)) return malformed();
    sections[i] = (struct reader){ in.at, in.at + bytes };
    in.at += bytes;
    total += counts[i];
  }
  if (left(&in) != 0) return malformed();

  struct arena arena;
  if (arena_open(&arena, total, size, out) != 0) return -1;
  for (int i = 0; i < 3; i++) {
    out->failed_part = (uint32_t)i;
    if (take_ops(&sections[i], &arena, parts[i], counts[i], out, &out->lists[i]) != 0) return fail(out);
  }
  return check_shape(out) == 0 ? 0 : fail(out);
}

int decode_batch(uint8_t *message, size_t size, unsigned part, struct decoded *out) {
  struct reader in = { message, message + size };
  struct arena arena;
  uint32_t count;
  memset(out, 0, sizeof *out);
  if (take_u32(&in, &count) != 0 || arena_open(&arena, count, size, out) != 0) return -1;
  return take_ops(&in, &arena, part, count, out, &out->lists[0]) == 0 ? 0 : fail(out);
}

void decoded_free(struct decoded *decoded) {
  if (decoded->memory != NULL) munmap(decoded->memory, decoded->memory_size);
  decoded->memory = NULL;
  memset(decoded->lists, 0, sizeof decoded->lists);
}
