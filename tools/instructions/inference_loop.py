"""Runs inferences between marks for the counting plugin: python inference_loop.py RUNTIME ARTIFACT TEST_SET.

Runs on the emulated processor: the first IMAGES images of the test set, because generated C may skip blank inputs, each
REPETITIONS times between two marks, so that the marks themselves hardly count.
"""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np

from mnistkit.runtimes import RUNTIMES

MARK = 5000  # the number of a system call that no kernel has; blocks.c recognizes it
WARM_UP = 5
IMAGES, REPETITIONS = 20, 10


def main(runtime: str, artifact: str, test_set: str) -> None:
    """Run the inferences."""
    session = RUNTIMES[runtime].open(Path(artifact), trust_code=True)
    with np.load(test_set) as arrays:
        images = arrays["images_00000"][:IMAGES]
    session.load(images[:1])
    for _ in range(WARM_UP):
        session.run()
    syscall, repetitions = ctypes.CDLL(None).syscall, range(REPETITIONS)
    gc.collect()
    gc.disable()  # the time of a collection depends on all allocations before it
    for number in range(IMAGES):
        session.load(images[number : number + 1])
        syscall(MARK, 0)
        for _ in repetitions:
            session.run()
        syscall(MARK, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
