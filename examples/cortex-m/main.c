/* Classifies the images of the file images.bin on the host. Prints a label for each, then the stack that it took. */
#include "model.int8.h"
#include "semihosting.h"
#include "stack.h"
#include "startup.h"

static uint8_t image[MODEL_INPUT_BYTES], arena[MODEL_ARENA_BYTES];

void stop(int status) { semihosting_exit(status); }

static void print_number(size_t number) {
  char text[12];
  char *digit = text + sizeof text;
  *--digit = 0;
  *--digit = '\n';
  do {
    *--digit = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  semihosting_print(digit);
}

int main(void) {
  float probabilities[MODEL_CLASSES];
  const int file = semihosting_open("images.bin", SEMIHOSTING_READ_BINARY);
  if (file < 0) {
    semihosting_print("cannot open images.bin\n");
    return 1;
  }
  size_t stack = 0;
  while (semihosting_read(file, image, sizeof image) == sizeof image) {
    const volatile uint32_t *const end = stack_paint();
    const int label = model_predict(image, probabilities, arena);
    const size_t used = stack_used(end);
    stack = used > stack ? used : stack;
    print_number((size_t)label);
  }
  semihosting_close(file);
  semihosting_print("bytes of stack: ");
  print_number(stack);
  return 0;
}
