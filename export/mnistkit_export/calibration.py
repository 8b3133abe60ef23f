"""The representative dataset: training images from which the ranges of the activations are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnistkit import files
from mnistkit.bundle import Calibration
from mnistkit.data.dataset import Dataset
from mnistkit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES = 500


def choose(data: Dataset, seed: int, samples: int = SAMPLES) -> tuple[NDArray[np.float32], Calibration]:
    """`samples` training images, float32 [samples, height, width, channels], the classes in equal shares.

    Raises DataError where there are fewer training images than that.
    """
    import numpy as np

    if samples > len(data.y_train):
        raise DataError(f"calibration wants {samples} images and there are {len(data.y_train)}", "bring more")
    order = np.random.default_rng(seed).permutation(len(data.y_train))
    indices = np.sort(order[_rank_in_class(data.y_train[order]).argsort(kind="stable")[:samples]])
    digest = files.sha256(indices.astype("<i8").tobytes())
    images = data.x_train[indices].astype(np.float32)
    # A range of 0 to 255 makes the scale of the quantized input 1, so that a stored byte is a raw pixel.
    images[0].flat[:2] = 0, 255
    return images, Calibration(data.digest, samples, seed, digest)


def _rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each label, how many of its kind stand before it: taking low ranks first takes classes in turn."""
    import numpy as np

    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        (places,) = np.nonzero(labels == label)
        ranks[places] = np.arange(len(places))
    return ranks
