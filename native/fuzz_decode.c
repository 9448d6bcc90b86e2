/* fuzz_decode.c - feeds the decoder programs that are nearly right
 *
 *   fuzz_decode SECONDS [SEED]
 *
 * Built by `make fuzz` with the compiler's sanitizers. The same seed gives the same programs. Prints how many were read and
 * refused; ends with 1 when a right one was refused, and by a sanitizer's report when the decoder went astray. */
#include "decode.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The table without its handlers: nothing is performed here. */
#define X(code, name, signature, parts) [code] = { #name, signature, parts, NULL },
const struct op_row op_rows[OP_END] = { OPS(X) };
#undef X

enum { MESSAGE_BYTES = 1 << 14, MAX_MUTATIONS = 6 };

static uint64_t state;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32) % below;
}

struct writer {
  uint8_t bytes[MESSAGE_BYTES];
  size_t size;
};

static void put(struct writer *out, const void *data, size_t size) {
  if (size > 0) memcpy(out->bytes + out->size, data, size);
  out->size += size;
}
static void put_u32(struct writer *out, uint32_t value) { put(out, &value, 4); }
static void put_u64(struct writer *out, uint64_t value) { put(out, &value, 8); }

static void put_string(struct writer *out) {
  uint32_t length = any(20);
  put_u32(out, length);
  for (uint32_t i = 0; i < length; i++) out->bytes[out->size++] = (uint8_t)(1 + any(255));
  out->bytes[out->size++] = 0;
}

static void put_bytes(struct writer *out, uint32_t count, unsigned width) {
  put_u32(out, count);
  for (uint32_t i = 0; i < count * width; i++) out->bytes[out->size++] = (uint8_t)any(256);
}

static void put_field(struct writer *out, int code, char kind) {
  uint32_t count = any(4);
  switch (kind) {
    case 's': put_string(out); break;
    case 'b': put_bytes(out, code == OP_seccomp ? 8 * (1 + any(3)) : any(30), 1); break;
    case 'g': put_bytes(out, count, 4); break;
    case 'p': put_u32(out, 0); break;
    case 'l':
      if (code == OP_exec) count++;
      put_u32(out, count);
      while (count-- > 0) put_string(out);
      break;
    case 'd': put_u64(out, any(MAX_SLOTS)); break;
    case 'D': put_u64(out, any(2) ? any(MAX_SLOTS) : NO_SLOT); break;
    default: put_u64(out, (uint64_t)any(1u << 31) << any(33));
  }
}

static void put_op(struct writer *out, int code) {
  uint16_t header[] = { (uint16_t)code, 0 };
  put(out, header, sizeof header);
  size_t start = out->size;
  put_u32(out, 0);
  put_u64(out, any(2) ? 0 : any(200));
  for (const char *kind = op_rows[code].signature; *kind != 0; kind++) put_field(out, code, *kind);
  uint32_t length = (uint32_t)(out->size - start - 4);
  memcpy(out->bytes + start, &length, 4);
}

static int any_code(unsigned part) {
  for (;;) {
    int code = 1 + (int)any(OP_END - 1);
    if (op_rows[code].parts & part && code != OP_clone && code != OP_exec) return code;
  }
}

static void make_program(struct writer *out) {
  static const unsigned parts[] = { IN_HOST, IN_CHILD, IN_TEARDOWN };
  static const int last[] = { OP_clone, OP_exec, 0 };
  out->size = 0;
  for (int i = 0; i < 3; i++) {
    uint32_t count = any(8);
    put_u32(out, count + (last[i] != 0));
    size_t start = out->size;
    put_u32(out, 0);
    while (count-- > 0) put_op(out, any_code(parts[i]));
    if (last[i] != 0) put_op(out, last[i]);
    uint32_t bytes = (uint32_t)(out->size - start - 4);
    memcpy(out->bytes + start, &bytes, 4);
  }
}

static void mutate(struct writer *out) {
  static const uint32_t telling[] = { 0, 1, 63, 64, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, MAX_OPS, MAX_OPS + 1, 0xfffffffb };
  for (uint32_t count = 1 + any(MAX_MUTATIONS); count > 0 && out->size > 8; count--) {
    size_t at = any((uint32_t)out->size - 4);
    uint32_t value = telling[any(sizeof telling / sizeof *telling)];
    switch (any(5)) {
      case 0: out->bytes[at] ^= (uint8_t)(1 << any(8)); break;
      case 1: out->bytes[at] = (uint8_t)any(256); break;
      case 2: memcpy(out->bytes + at, &value, 4); break;
      case 3: out->size = at; break;
      case 4:
        memmove(out->bytes + at, out->bytes + at + 1, out->size - at - 1);
        out->size--;
    }
  }
}

/* Reads all that handlers would read. */
static uint64_t touch(const struct decoded *decoded) {
  uint64_t sum = 0;
  for (int i = 0; i < 3; i++)
    for (uint32_t j = 0; j < decoded->lists[i].count; j++) {
      const struct op *op = &decoded->lists[i].ops[j];
      const char *signature = op_rows[op->code].signature;
      for (int k = 0; signature[k] != 0; k++) {
        const struct field *field = &op->field[k];
        unsigned width = signature[k] == 'p' ? 8 : signature[k] == 'g' ? 4 : 1;
        if (strchr("sbgp", signature[k]) != NULL)
          for (size_t at = 0; at < (size_t)field->size * width; at++) sum += (uint8_t)field->text[at];
        if (signature[k] == 's') sum += strlen(field->text);
        if (signature[k] == 'l')
          for (char **item = field->list; *item != NULL; item++) sum += strlen(*item);
      }
    }
  return sum;
}

/* In memory of exactly its size, so that a sanitizer sees each byte read beyond it. */
static int decode(const struct writer *in, bool as_batch, uint64_t *sum) {
  struct decoded decoded;
  uint8_t *message = malloc(in->size == 0 ? 1 : in->size);
  if (message == NULL) abort();
  if (in->size > 0) memcpy(message, in->bytes, in->size);
  int result = as_batch ? decode_batch(message, in->size, IN_BATCH, &decoded) : decode_program(message, in->size, &decoded);
  if (result == 0) {
    *sum += touch(&decoded);
    decoded_free(&decoded);
  }
  free(message);
  return result;
}

int main(int argc, char **argv) {
  static struct writer writer;
  uint64_t read = 0, refused = 0, sum = 0;
  if (argc < 2) return 2;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 20261123;
  for (time_t end = time(NULL) + atoi(argv[1]); time(NULL) <= end;)
    for (int i = 0; i < 1000; i++) {
      make_program(&writer);
      if (decode(&writer, false, &sum) != 0) return printf("refused a right program: errno %d\n", errno), 1;
      mutate(&writer);
      if (decode(&writer, any(4) == 0, &sum) == 0) read++;
      else refused++;
    }
  printf("%llu read, %llu refused (%llx)\n", (unsigned long long)read, (unsigned long long)refused, (unsigned long long)sum);
  return 0;
}
