"""What is asked of emulated boards, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Quantization

MOST_OFF = {"float32": 1e-5, "float16": 1e-5, "dynamic": 1e-3}  # of a probability, between a board and this machine


@dataclass(frozen=True)
class Case:
    """A board, the system on it, and how many images it is asked; None: all."""

    board: str
    release: str = "bookworm"
    images: int | None = None

    def __str__(self) -> str:
        """What pytest calls it."""
        return f"{self.board}-{self.release}-{self.images or 'all'}"


@dataclass(frozen=True)
class Answered:
    """What an artifact answered on this machine and on the board, float32 [N, classes] each."""

    artifact: str
    quantization: Quantization
    runtime: str
    here: NDArray[np.float32]
    there: NDArray[np.float32]

    @property
    def differences(self) -> NDArray[np.float32]:
        """Each image's largest one of a probability, [N]."""
        largest: NDArray[np.float32] = abs(self.here - self.there).max(axis=1)
        return largest

    @property
    def relabelled(self) -> int:
        """How many images are taken for another digit."""
        return int((self.here.argmax(axis=1) != self.there.argmax(axis=1)).sum())
