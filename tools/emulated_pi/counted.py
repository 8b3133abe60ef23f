"""On the board, under the plugin that counts: python counted.py RUNTIME ARTIFACT TESTSET N.

Two marks, and between them N inferences on one image of the test set.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np

from mnistkit.runtimes import RUNTIMES

MARK = 5000  # a system call that no kernel has, and that the plugin knows
WARM_UP = 5


def main(runtime: str, artifact: str, test_set: str, count: str) -> None:
    """Infer between the marks."""
    session = RUNTIMES[runtime].open(Path(artifact))
    with np.load(test_set) as arrays:
        session.load(arrays["images"][:1])
    mark = ctypes.CDLL(None).syscall
    for _ in range(WARM_UP):
        session.run()
    inferences = range(int(count))
    gc.collect()
    gc.disable()  # when it comes by depends on all that happened before
    mark(MARK, 0)
    for _ in inferences:
        session.run()
    mark(MARK, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
