"""The test cases of emulated boards, and the predictions that they compare."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulated_pi.board import Board
from mnistkit.bundle import Quantization

BoardFactory = Callable[[str, str], Board]

MAX_DIFFERENCE = {"float32": 1e-5, "float16": 1e-5, "dynamic": 1e-3}  # of a probability, between board and machine


@dataclass(frozen=True)
class Case:
    """A board, its operating system, and the number of images to evaluate."""

    board: str
    release: str = "bookworm"
    images: int | None = None  # None for all

    def __str__(self) -> str:
        """The test ID."""
        return f"{self.board}-{self.release}-{self.images or 'all'}"


@dataclass(frozen=True)
class PredictionPair:
    """The probabilities of an artifact on this machine and on the board, float32 [N, classes] each."""

    artifact: str
    quantization: Quantization
    runtime: str  # on the board
    machine: NDArray[np.float32]
    board: NDArray[np.float32]

    @property
    def differences(self) -> NDArray[np.float32]:
        """The largest difference of a probability for each image, [N]."""
        differences: NDArray[np.float32] = np.abs(self.machine - self.board).max(axis=1)
        return differences

    @property
    def label_changes(self) -> int:
        """The number of images with different predicted labels."""
        return int((self.machine.argmax(axis=1) != self.board.argmax(axis=1)).sum())


def without_compilers(board: Board, folder: Path) -> dict[str, str]:
    """Environment variables with which a command on the board does not find this machine's compilers."""
    (folder / "programs").mkdir()
    for name in (board.release.emulator, f"{board.release.emulator}-static"):
        if path := shutil.which(name):
            (folder / "programs" / name).symlink_to(path)
    return {"PATH": f"{board.bin}:{folder / 'programs'}"}


ComparePredictions = Callable[[Case], list[PredictionPair]]
