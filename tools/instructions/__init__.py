"""Counts the instructions of programs that QEMU emulates, and estimates the cycles that they take on a processor."""
