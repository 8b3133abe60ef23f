/* Runs generated C on a Cortex-M without an operating system, on the images of the host's file images.bin, and writes
 * the float32 probabilities to probabilities.bin there. It uses the start code of examples/cortex-m.
 *
 * The counting plugin counts from the start of model_predict to that of after_prediction. */
#include "model.int8.h"
#include "semihosting.h"
#include "startup.h"

enum { GUARD = 64, ALIGNMENTS = 64 };

static struct {
  uint8_t before[GUARD], arena[MODEL_ARENA_BYTES + ALIGNMENTS], after[GUARD];
} memory __attribute__((aligned(ALIGNMENTS)));
static uint8_t image[MODEL_INPUT_BYTES + ALIGNMENTS] __attribute__((aligned(ALIGNMENTS)));

void stop(int status) { semihosting_exit(status); }

void __attribute__((noinline)) after_prediction(void) { __asm__ volatile("" ::: "memory"); }

static int fail(const char *message) {
  semihosting_print(message);
  return 1;
}

static int is_intact(const uint8_t *from, const uint8_t *to, uint8_t value) {
  while (from != to)
    if (*from++ != value) return 0;
  return 1;
}

/* Images and arenas start at every alignment, and the arena holds other values each time: nothing may depend on what is
 * left in it. */
int main(void) {
  float probabilities[MODEL_CLASSES];
  const int images = semihosting_open("images.bin", SEMIHOSTING_READ_BINARY);
  const int out = semihosting_open("probabilities.bin", SEMIHOSTING_WRITE_BINARY);
  if (images < 0 || out < 0) return fail("cannot open the files\n");
  for (unsigned number = 0;; number++) {
    uint8_t *const start = image + number % ALIGNMENTS, *const arena = memory.arena + number % ALIGNMENTS;
    if (semihosting_read(images, start, MODEL_INPUT_BYTES) != MODEL_INPUT_BYTES) break;
    const uint8_t value = (uint8_t)(number * 37 + 11);
    for (uint8_t *byte = memory.before; byte != memory.after + GUARD; byte++) *(volatile uint8_t *)byte = value;
    const int label = model_predict(start, probabilities, arena);
    after_prediction();
    if (!is_intact(memory.before, arena, value) || !is_intact(arena + MODEL_ARENA_BYTES, memory.after + GUARD, value))
      return fail("written outside of the arena\n");
    for (int k = 0; k < MODEL_CLASSES; k++)
      if (probabilities[k] > probabilities[label] || (k < label && probabilities[k] == probabilities[label]))
        return fail("the label is not the most probable class\n");
    if (semihosting_write(out, probabilities, sizeof probabilities) != sizeof probabilities) return fail("disk full\n");
  }
  semihosting_close(images);
  semihosting_close(out);
  return 0;
}
