/* worker.c - performs ops, one batch after the other, in the place that its prelude chose */
#include "worker.h"
#include "answer.h"
#include "decode.h"
#include "frame.h"
#include "process.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

static int answer_batch(int engine, struct context *context, struct message *message) {
  struct answer answer = { 0 };
  struct decoded batch;
  uint32_t result[2] = { 0, 0 };
  context->answer = &answer;
  if (decode_batch(message->payload, message->header.size, IN_BATCH, &batch) != 0) {
    result[0] = batch.failed_index;
    result[1] = (uint32_t)errno;
  } else {
    result[0] = perform_all(context, &batch.lists[0]);
    result[1] = result[0] == batch.lists[0].count ? 0 : (uint32_t)errno;
    decoded_free(&batch);
  }
  int sent = message_write(engine, FRAME_RESULT, 0, result, sizeof result, answer.data, answer.size);
  answer_free(&answer);
  return sent;
}

void worker_run(int engine, struct message *prelude) {
  struct context context;
  struct message message = *prelude;
  signals_reset();
  signal(SIGPIPE, SIG_IGN);
  context_init(&context);
  for (;;) {
    int sent = answer_batch(engine, &context, &message);
    message_free(&message);
    if (sent != 0 || message_read(engine, &message) != 0) return;
    if (message.header.type != FRAME_BATCH) return;
  }
}
