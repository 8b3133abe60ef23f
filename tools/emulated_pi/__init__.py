"""An emulated Raspberry Pi 3, 4 and 5: real wheels on an emulated processor, with what a Pi tells of itself.

QEMU's user mode runs arm64 programs from Debian's packages, as which `-cpu` says: instructions that the processor
lacks fault, and kernels are chosen by what it has. No root, no image, no boot. It is true for instruction sets, wheels,
answers, SSH and counts of instructions, and says nothing of time. Never `-cpu max`, QEMU's default: by its emulation
of what no Pi has, int8 networks answer nonsense.
"""
