/* decode.h - bytes to ops; checks everything, performs nothing */
#pragma once
#include "op.h"

/* A program of three lists, or a batch in lists[0]; `memory` holds what the ops point to, besides the message itself. */
struct decoded {
  struct op_list lists[3];
  void *memory;
  size_t memory_size;
  uint32_t failed_part, failed_index; /* where decoding stopped, when it failed */
};

/* Returns 0, or -1 with errno EBADMSG, E2BIG or ENOMEM. The message must outlive the ops; handlers may write to it. */
int decode_program(uint8_t *message, size_t size, struct decoded *out);
int decode_batch(uint8_t *message, size_t size, unsigned part, struct decoded *out);
void decoded_free(struct decoded *decoded);

uint16_t read_u16(const uint8_t *at);
uint32_t read_u32(const uint8_t *at);
uint64_t read_u64(const uint8_t *at);
