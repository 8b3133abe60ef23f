/* GCC may call these functions for copies and initializations, even of a program without a C library. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict target, const void *restrict source, size_t bytes) {
  uint8_t *to = target;
  const uint8_t *from = source;
  while (bytes--) *to++ = *from++;
  return target;
}

void *memset(void *target, int value, size_t bytes) {
  uint8_t *to = target;
  while (bytes--) *to++ = (uint8_t)value;
  return target;
}
