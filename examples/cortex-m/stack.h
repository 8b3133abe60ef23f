/* Measures how deep the stack becomes: fills its free part with a pattern and later looks for what was overwritten. */
#ifndef STACK_H
#define STACK_H

#include <stddef.h>
#include <stdint.h>

enum { STACK_PATTERN = 0x5A5A5A5A };

extern volatile uint32_t stack_limit[]; /* the lowest word of the stack; defined by the linker script */

/* Fills the stack below the caller, and returns the end of that part. Inlined: a call would have a frame there. */
static inline __attribute__((always_inline)) const volatile uint32_t *stack_paint(void) {
  volatile uint32_t *end;
  __asm__ volatile("mov %0, sp" : "=r"(end));
  for (volatile uint32_t *word = stack_limit; word != end; word++) *word = STACK_PATTERN;
  return end;
}

/* The bytes below `end` that were overwritten since. */
static inline size_t stack_used(const volatile uint32_t *end) {
  const volatile uint32_t *word = stack_limit;
  while (word != end && *word == STACK_PATTERN) word++;
  return (size_t)(end - word) * sizeof *word;
}

#endif
