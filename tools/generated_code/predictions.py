"""The probabilities that generated C computes on a processor."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generated_code import programs
from generated_code.processors import Processor
from generated_code.programs import BARE_METAL, HARNESS, run


def predict(
    source: Path, processor: Processor, images: NDArray[np.uint8], options: tuple[str, ...] = ("-O2",)
) -> NDArray[np.float32]:
    """The probabilities [N, classes] of raw images; exits if the program faults or finds a mistake."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder, out = Path(name), Path(name) / "probabilities.bin"
        images.tofile(folder / "images.bin")
        program = programs.build(source, processor, folder, BARE_METAL if processor.board else HARNESS, options)
        if processor.board:
            run(*processor.emulator, "-kernel", program, folder=folder)
        else:
            run(*processor.emulator, program, folder / "images.bin", len(images), out)
        return np.fromfile(out, np.float32).reshape(len(images), -1)
