/* The block that the boot ROM of the RP2350 searches in the first 4 KB of the flash: without it, there is no program.
 *
 * It is the shortest valid one, section 5.9.5.1 of the data sheet. The ROM then takes the vector table at the start of
 * the flash, sets the stack pointer from it and calls its reset handler, in secure state. */
#include <stdint.h>

__attribute__((section(".image_def"), used)) static const uint32_t image_def[] = {
    0xFFFFDED3, /* start of a block */
    0x10210142, /* item of one word: a program for the RP2350's Arm cores, secure state */
    0x000001FF, /* last item; the items take one word */
    0x00000000, /* distance of the next block: this is the only one */
    0xAB123579, /* end of a block */
};
