"""The firmware of examples/cortex-m on the boards that QEMU emulates."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generated_code.processors import Processor
from generated_code.programs import EXAMPLE, run

_SIZE = re.compile(r"flash: (\d+) bytes; variables in RAM: (\d+) bytes\narena in RAM: (\d+) bytes")
_STACK = "bytes of stack: "


@dataclass(frozen=True)
class FirmwareRun:
    """What the firmware prints, and the memory that the network takes in it, in bytes."""

    labels: tuple[int, ...]
    flash: int
    variables: int
    arena: int
    stack: int

    @property
    def ram(self) -> int:
        """All RAM that the network takes."""
        return self.variables + self.arena + self.stack


def run_firmware(bundle: Path, processor: Processor, images: NDArray[np.uint8], folder: Path) -> FirmwareRun:
    """Build the firmware in `folder` with the example's Makefile, and run it on raw images."""
    images.tofile(folder / "images.bin")
    variables = (
        f"BUNDLE={bundle.resolve()}",
        f"BOARD={processor.board}",
        f"IMAGES={folder}",
        f"BUILD={folder / 'build'}",
    )
    make = "make", "--no-print-directory", "-C", EXAMPLE, *variables
    run(*make)
    *labels, stack = run(*make, "--silent", "run").splitlines()
    size = _SIZE.search(run(*make, "size"))
    if not (size and stack.startswith(_STACK)):
        raise SystemExit(f"the firmware of {processor.board} printed {stack!r} at its end")
    flash, in_ram, arena = map(int, size.groups())
    return FirmwareRun(tuple(map(int, labels)), flash, in_ram, arena, int(stack.removeprefix(_STACK)))
