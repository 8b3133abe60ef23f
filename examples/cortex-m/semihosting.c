#include "semihosting.h"

#include <stdint.h>

enum {
  SYS_OPEN = 0x01,
  SYS_CLOSE = 0x02,
  SYS_WRITE0 = 0x04,
  SYS_WRITE = 0x05,
  SYS_READ = 0x06,
  SYS_EXIT_EXTENDED = 0x20,
  APPLICATION_EXIT = 0x20026
};

/* The operation is in r0 and its arguments, or the address of them, in r1. The result is in r0. */
static intptr_t semihosting_call(int operation, const void *arguments) {
  register intptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

int semihosting_open(const char *path, int mode) {
  size_t length = 0;
  while (path[length]) length++;
  const uintptr_t arguments[] = {(uintptr_t)path, (uintptr_t)mode, length};
  return (int)semihosting_call(SYS_OPEN, arguments);
}

/* The host returns the number of bytes that it did not transfer. */
static size_t semihosting_transfer(int operation, int file, const void *data, size_t bytes) {
  const uintptr_t arguments[] = {(uintptr_t)file, (uintptr_t)data, bytes};
  return bytes - (size_t)semihosting_call(operation, arguments);
}

size_t semihosting_read(int file, void *data, size_t bytes) {
  return semihosting_transfer(SYS_READ, file, data, bytes);
}

size_t semihosting_write(int file, const void *data, size_t bytes) {
  return semihosting_transfer(SYS_WRITE, file, data, bytes);
}

void semihosting_close(int file) {
  const uintptr_t arguments[] = {(uintptr_t)file};
  semihosting_call(SYS_CLOSE, arguments);
}

void semihosting_print(const char *text) { semihosting_call(SYS_WRITE0, text); }

/* SYS_EXIT cannot pass a status on a 32-bit processor; SYS_EXIT_EXTENDED can. */
void semihosting_exit(int status) {
  const uintptr_t arguments[] = {APPLICATION_EXIT, (uintptr_t)status};
  for (;;) semihosting_call(SYS_EXIT_EXTENDED, arguments);
}
