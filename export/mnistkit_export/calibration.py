"""The representative dataset: training images from which the ranges of the activations are taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnistkit.bundle import Calibration
from mnistkit.core import files
from mnistkit.core.errors import DataError
from mnistkit.data.dataset import Dataset, LabeledImages
from mnistkit.data.sampling import rank_in_class

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES = 500
HELD_OUT = 6  # one training image in so many is never calibrated on: accuracy is controlled on those


@dataclass(frozen=True)
class RepresentativeDataset:
    """Images to calibrate on, float32 [samples, height, width, channels], and images that were held out of them."""

    images: NDArray[np.float32]
    held_out: LabeledImages
    record: Calibration


def choose(data: Dataset, seed: int, samples: int = SAMPLES) -> RepresentativeDataset:
    """`samples` training images, the classes in equal shares, and a sixth of the training images held out of them.

    An image that stands in the test set too is never chosen, by its content. Raises DataError where there are
    fewer than `samples` others.
    """
    import numpy as np

    fresh = np.nonzero(~_known(data.x_train, data.x_test))[0]
    order = np.random.default_rng(seed).permutation(fresh)
    held_out, order = np.split(order, [len(order) // HELD_OUT])
    refused = len(data.x_train) - len(fresh)
    if samples > len(order):
        known = f", {refused:,} more stand in the test set too" if refused else ""
        raise DataError(
            f"calibration wants {samples} training images and may choose from {len(order)}{known}",
            "bring more, or ask for fewer with --calibration-samples",
        )
    indices = np.sort(order[rank_in_class(data.y_train[order]).argsort(kind="stable")[:samples]])
    images = data.x_train[indices].astype(np.float32)
    # A range of 0 to 255 makes the scale of the quantized input 1, so that a stored byte is a raw pixel.
    images[0].flat[:2] = 0, 255
    digest = files.sha256(indices.astype("<i8").tobytes())
    return RepresentativeDataset(
        images,
        LabeledImages(data.x_train[held_out], data.y_train[held_out]),
        Calibration(samples, seed, digest, refused),
    )


def _known(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the images are byte for byte among the others."""
    import numpy as np

    seen = {hashlib.sha256(image.data).digest() for image in others}
    return np.fromiter((hashlib.sha256(image.data).digest() in seen for image in images), bool, len(images))
