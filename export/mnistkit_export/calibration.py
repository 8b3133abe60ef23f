"""Chooses the representative dataset: the training images that calibrate activation ranges."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Calibration
from mnistkit.core import files
from mnistkit.core.errors import DataError
from mnistkit.core.images import Images, chunks
from mnistkit.data.dataset import Dataset
from mnistkit.data.sampling import rank_in_class

SAMPLES = 500
HELD_OUT_FRACTION = 6  # one in six training images is held out for accuracy control
MAX_HELD_OUT = 10_000


@dataclass(frozen=True)
class RepresentativeDataset:
    """Calibration images, float32 [samples, height, width, channels], and the training images held out of them."""

    images: NDArray[np.float32]
    held_out: NDArray[np.int64]  # indices of training images
    record: Calibration


def choose(data: Dataset, seed: int, samples: int = SAMPLES) -> RepresentativeDataset:
    """Choose `samples` training images, balanced over the classes, and hold out a sixth of the training images.

    Excludes training images that are identical to a test image. Raises DataError if fewer than `samples` are left.
    """
    if len(data.x_train) == 0:
        raise DataError(
            "int8 needs training images to calibrate on, and the data set has none",
            "add training images, or pass --quantize float32 --quantize float16 --quantize dynamic",
        )
    usable = np.nonzero(~np.isin(_digests(data.x_train), _digests(data.x_test)))[0]
    order = np.random.default_rng(seed).permutation(usable)
    held_out, order = np.split(order, [len(order) // HELD_OUT_FRACTION])
    excluded = len(data.x_train) - len(usable)
    if samples > len(order):
        duplicates = f" ({excluded:,} more are identical to test images)" if excluded else ""
        raise DataError(
            f"calibration needs {samples} training images, but only {len(order)} are available{duplicates}",
            "provide more training images, or choose a smaller --calibration-samples",
        )
    indices = np.sort(order[rank_in_class(data.y_train[order]).argsort(kind="stable")[:samples]])
    images = data.x_train[indices].astype(np.float32)
    # With a range of 0 to 255 the scale of the quantized input is 1, so that a stored byte is a raw pixel.
    images[0].flat[:2] = 0, 255
    digest = files.sha256(indices.astype("<i8").tobytes())
    return RepresentativeDataset(images, held_out[:MAX_HELD_OUT], Calibration(samples, seed, digest, excluded))


def _digests(images: Images) -> NDArray[np.uint64]:
    """The first 8 bytes of the SHA-256 of each image."""
    digests = b"".join(hashlib.sha256(image.data).digest()[:8] for chunk in chunks(images) for image in chunk)
    return np.frombuffer(digests, np.uint64)
