"""Writes cnn.npz: the weights of a trained `cnn`, in eight bits, small enough to commit.

    python tests/weights/make.py build/cnn/model.keras

Each weight is stored as <index>, and a kernel's scale for each output channel as <index>_scale.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.training import loading

PATH = Path(__file__).parent / "cnn.npz"


def quantize(weights: list[NDArray[np.float32]]) -> dict[str, NDArray[np.generic]]:
    """Kernels as int8 with a scale for each output channel; biases as float32."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, weight in enumerate(weights):
        if weight.ndim == 1:
            arrays[str(index)] = weight
            continue
        scale = np.abs(weight).max(axis=tuple(range(weight.ndim - 1))) / 127
        arrays[str(index)] = np.round(weight / scale).astype(np.int8)
        arrays[f"{index}_scale"] = scale
    return arrays


if __name__ == "__main__":
    files.write_npz(PATH, quantize(loading.load(Path(sys.argv[1])).get_weights()))
