/* Files and messages of the computer that debugs or emulates the processor ("Semihosting for AArch32 and AArch64").
 *
 * Needs a debugger or QEMU: without one, a call stops the processor with a fault. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>

enum { SEMIHOSTING_READ_BINARY = 1, SEMIHOSTING_WRITE_BINARY = 5 };

int semihosting_open(const char *path, int mode);                    /* a handle; -1 on failure */
size_t semihosting_read(int file, void *data, size_t bytes);         /* the bytes that were read */
size_t semihosting_write(int file, const void *data, size_t bytes);  /* the bytes that were written */
void semihosting_close(int file);
void semihosting_print(const char *text);
void semihosting_exit(int status) __attribute__((noreturn));

#endif
