"""Runs inferences between two marks for the counting plugin: python inference_loop.py RUNTIME ARTIFACT TEST_SET COUNT.

Runs on the emulated board. Every inference takes the first image of the test set.
"""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np

from mnistkit.runtimes import RUNTIMES

MARK = 5000  # the number of a system call that no kernel has; icount.c recognizes it
WARM_UP = 5


def main(runtime: str, artifact: str, test_set: str, count: str) -> None:
    """Run `count` inferences between the marks 0 and 1."""
    session = RUNTIMES[runtime].open(Path(artifact))
    with np.load(test_set) as arrays:
        session.load(arrays["images_00000"][:1])
    syscall = ctypes.CDLL(None).syscall
    for _ in range(WARM_UP):
        session.run()
    inferences = range(int(count))
    gc.collect()
    gc.disable()  # the time of a collection depends on all allocations before it
    syscall(MARK, 0)
    for _ in inferences:
        session.run()
    syscall(MARK, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
