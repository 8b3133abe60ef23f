/* Start of a program on a bare Cortex-M: the vector table and the reset handler. */
#include "startup.h"

#include <stdint.h>

/* Defined by the linker script. Only their addresses have a meaning. */
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

/* Without the coprocessor access bits, the first instruction of the FPU or of MVE faults. */
static void enable_fpu(void) {
  volatile uint32_t *const cpacr = (volatile uint32_t *)0xE000ED88;
  *cpacr |= 0xFu << 20;
  __asm__ volatile("dsb\n\tisb" ::: "memory");
}

void reset_handler(void) {
  enable_fpu();
  const uint32_t *source = data_load;
  for (uint32_t *word = data_start; word != data_end; word++) *word = *source++;
  for (uint32_t *word = bss_start; word != bss_end; word++) *word = 0;
  stop(main());
}

/* No interrupt is enabled, so any exception is a fault of the program. */
static void fault_handler(void) { stop(1); }

typedef union {
  uint32_t *stack;
  void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = stack_top},       {.handler = reset_handler}, {.handler = fault_handler}, /* NMI */
    {.handler = fault_handler}, {.handler = fault_handler}, {.handler = fault_handler}, /* hard, memory, bus */
    {.handler = fault_handler}, {.handler = fault_handler}, {.handler = fault_handler}, /* usage, secure */
    {.handler = fault_handler}, {.handler = fault_handler}, {.handler = fault_handler}, /* supervisor call */
    {.handler = fault_handler}, {.handler = fault_handler}, {.handler = fault_handler}, /* debug, pending */
    {.handler = fault_handler},                                                         /* system tick */
};
