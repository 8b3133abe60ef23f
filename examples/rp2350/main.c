/* Classifies an image in the flash of a Raspberry Pi Pico 2 and prints the result on its serial port, again and again:
 * 115,200 baud at GPIO 0, pin 1 of the board. Registers have the names of the RP2350's data sheet. */
#include <stddef.h>

#include "model.int8.h"
#include "startup.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CLEAR_BITS 0x3000u /* writing to a register's address plus this clears the bits that are set */

#define RESETS 0x40020000u
#define RESET_DONE 0x40020008u
#define RESET_IO_BANK0 (1u << 6)
#define RESET_PADS_BANK0 (1u << 9)
#define RESET_UART0 (1u << 26)

#define XOSC_CTRL 0x40048000u
#define XOSC_STATUS 0x40048004u
#define XOSC_ENABLE_1_15MHZ 0xFABAA0u
#define XOSC_STABLE (1u << 31)

#define CLK_REF_CTRL 0x40010030u
#define CLK_REF_SELECTED 0x40010038u
#define CLK_REF_XOSC 2u
#define CLK_PERI_CTRL 0x40010048u
#define CLK_PERI_ENABLE (1u << 11)
#define CLK_PERI_XOSC (4u << 5)

#define GPIO0_CTRL 0x40028004u
#define FUNCTION_UART 2u
#define GPIO0_PAD 0x40038004u
#define PAD_ISOLATED (1u << 8)

#define UART0_DR 0x40070000u
#define UART0_FR 0x40070018u
#define UART_TX_FULL (1u << 5)
#define UART0_IBRD 0x40070024u
#define UART0_FBRD 0x40070028u
#define UART0_LCR_H 0x4007002Cu
#define UART_8_BITS_FIFO (3u << 5 | 1u << 4)
#define UART0_CR 0x40070030u
#define UART_ENABLE_TX (1u << 0 | 1u << 8)

enum { CRYSTAL_HZ = 12000000, BAUD = 115200, DIVISOR = (CRYSTAL_HZ * 4 + BAUD / 2) / BAUD /* in 64ths */ };

extern const uint8_t image[MODEL_INPUT_BYTES]; /* image.S */
static uint8_t arena[MODEL_ARENA_BYTES];

void stop(int status) {
  (void)status;
  for (;;) __asm__ volatile("wfi");
}

/* The chip starts with a ring oscillator, which is too inexact for a serial port. The processor then runs from the
 * crystal at 12 MHz too; the PLL, which this example leaves out, would give it 150 MHz. */
static void start_crystal(void) {
  REGISTER(XOSC_CTRL) = XOSC_ENABLE_1_15MHZ;
  while (!(REGISTER(XOSC_STATUS) & XOSC_STABLE)) continue;
  REGISTER(CLK_REF_CTRL) = CLK_REF_XOSC;
  while (!(REGISTER(CLK_REF_SELECTED) & 1u << CLK_REF_XOSC)) continue;
  REGISTER(CLK_PERI_CTRL) = CLK_PERI_XOSC; /* a change of source may glitch, so it comes before the start */
  REGISTER(CLK_PERI_CTRL) = CLK_PERI_XOSC | CLK_PERI_ENABLE;
}

static void start_uart(void) {
  const uint32_t blocks = RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0;
  REGISTER(RESETS + CLEAR_BITS) = blocks;
  while ((REGISTER(RESET_DONE) & blocks) != blocks) continue;
  REGISTER(UART0_IBRD) = DIVISOR / 64;
  REGISTER(UART0_FBRD) = DIVISOR % 64;
  REGISTER(UART0_LCR_H) = UART_8_BITS_FIFO; /* after the divisors, which only this write makes effective */
  REGISTER(UART0_CR) = UART_ENABLE_TX;
  REGISTER(GPIO0_CTRL) = FUNCTION_UART;
  REGISTER(GPIO0_PAD + CLEAR_BITS) = PAD_ISOLATED; /* pads are isolated until a program has chosen their function */
}

static void print(const char *text) {
  for (; *text; text++) {
    while (REGISTER(UART0_FR) & UART_TX_FULL) continue;
    REGISTER(UART0_DR) = (uint8_t)*text;
  }
}

static void print_number(unsigned number) {
  char text[12];
  char *digit = text + sizeof text - 1;
  *digit = 0;
  do {
    *--digit = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  print(digit);
}

int main(void) {
  float probabilities[MODEL_CLASSES];
  start_crystal();
  start_uart();
  for (;;) {
    const int label = model_predict(image, probabilities, arena);
    print_number((unsigned)label);
    print(" (");
    print_number((unsigned)(100 * probabilities[label] + 0.5f));
    print("%)\r\n");
  }
}
