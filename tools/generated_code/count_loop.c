/* Runs generated C on each image of a file between two marks of the counting plugin: count_loop IMAGES. */
#include <stdalign.h>
#include <stdio.h>
#include <unistd.h>

#include "model.int8.h"

enum { MARK = 5000 /* a system call that no kernel has; the plugin recognizes it */ };

int main(int argc, char **argv) {
  static alignas(64) uint8_t image[MODEL_INPUT_BYTES], arena[MODEL_ARENA_BYTES];
  float probabilities[MODEL_CLASSES];
  FILE *images = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (!images) return 1;
  while (fread(image, 1, sizeof image, images) == sizeof image) {
    syscall(MARK, 0);
    model_predict(image, probabilities, arena);
    syscall(MARK, 1);
  }
  return 0;
}
