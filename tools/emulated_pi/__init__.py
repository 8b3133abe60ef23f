"""Emulated Raspberry Pi 3, 4 and 5 boards: real wheels on an emulated processor, with the system files of a Pi.

QEMU's user-mode emulation runs ARM programs from Debian packages on the CPU model that `-cpu` selects: an instruction
that the processor lacks faults, and libraries select their kernels by its features. It needs no root, disk image or
boot. Instruction sets, wheels, predictions, SSH and instruction counts are those of a board; latency is not.

Never use `-cpu max`, QEMU's default: it has features that no Pi has, and int8 networks compute wrong results on it.
"""
