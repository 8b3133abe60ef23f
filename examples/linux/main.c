/* Classifies one image: classify FILE. The file has a byte for each pixel, row by row, and no header. */
#include <stdio.h>

#include "model.int8.h"

static int fail(const char *path, const char *problem) {
  fprintf(stderr, "%s: %s\n", path, problem);
  return 1;
}

int main(int argc, char **argv) {
  static uint8_t arena[MODEL_ARENA_BYTES];
  uint8_t image[MODEL_INPUT_BYTES + 1]; /* one byte more, to notice a file that is too long */
  float probabilities[MODEL_CLASSES];

  if (argc != 2) {
    fprintf(stderr, "usage: %s FILE\n", argv[0]);
    return 2;
  }
  FILE *file = fopen(argv[1], "rb");
  if (!file) return fail(argv[1], "cannot open the file");
  const size_t bytes = fread(image, 1, sizeof image, file);
  fclose(file);
  if (bytes != MODEL_INPUT_BYTES) return fail(argv[1], "does not have the size of an image");

  const int label = model_predict(image, probabilities, arena);
  printf("%d (%.1f%%)\n", label, 100.0 * (double)probabilities[label]);
  return 0;
}
