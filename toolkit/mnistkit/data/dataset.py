"""Any data set in the Keras npz layout (x_train, y_train, x_test, y_test) or MNIST's, checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core import files
from mnistkit.core.errors import DataError
from mnistkit.data import idx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEYS = ("x_train", "y_train", "x_test", "y_test")
LAYOUT = (
    "it must hold x_train and x_test, whole pixel values 0 to 255 of shape [N, height, width] or "
    "[N, height, width, channels], and y_train and y_test, a class number for each image"
)


@dataclass(frozen=True)
class LabeledImages:
    """Some images, uint8 [N, height, width, channels], and their labels, int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Images, uint8 [N, height, width, channels] with raw pixel values, and labels, int64 [N]."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]

    def hold_out(self, which: str) -> tuple[LabeledImages, LabeledImages | None]:
        """The training images, and a sixth of them held out: the "first", the "last", or "none".

        That is 10,000 of MNIST's 60,000. Raises DataError where it would leave one part empty.
        """
        count = len(self.x_train) // 6
        if which == "none":
            return LabeledImages(self.x_train, self.y_train), None
        if count == 0:
            raise DataError(f"a sixth of {len(self.x_train)} training images is none", "train with --validation none")
        parts = (slice(count, None), slice(count)) if which == "first" else (slice(-count), slice(-count, None))
        training, held_out = (LabeledImages(self.x_train[part], self.y_train[part]) for part in parts)
        return training, held_out

    def pick(self, first: int, count: int, *, test: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """`count` images from index `first` on, fewer where they end, and their labels; raises DataError."""
        images, labels = (self.x_test, self.y_test) if test else (self.x_train, self.y_train)
        check_index(first, len(images))
        return images[first : first + count], labels[first : first + count]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """The number of classes: one more than the largest training label."""
        return int(self.y_train.max()) + 1

    @property
    def digest(self) -> str:
        """A SHA-256 over the shapes and contents of the four arrays."""
        return files.sha256_of_arrays(self.x_train, self.y_train, self.x_test, self.y_test)


def check_index(index: int, count: int) -> None:
    """Raise DataError unless there is an image of this index among `count`."""
    if not 0 <= index < count:
        raise DataError(f"there is no image {index}", f"choose one from 0 to {count - 1}")


def load(path: Path) -> Dataset:
    """The data set in an npz file, or in a folder of four IDX files with MNIST's names.

    Raises StorageError where it can't be read and DataError where it breaks the layout.
    """
    try:
        arrays = idx.read_folder(path) if path.is_dir() else files.read_npz(path, KEYS)
        return from_arrays(path.stem, arrays)
    except ValueError as error:
        raise DataError(f"{path} is no data set: {error}", LAYOUT) from error


def from_arrays(name: str, arrays: dict[str, NDArray[Any]]) -> Dataset:
    """The data set that these arrays make; raises ValueError, in one line, where they don't."""
    images = {key: _images(key, arrays[key]) for key in ("x_train", "x_test")}
    labels = {key: _labels(key, arrays[key]) for key in ("y_train", "y_test")}
    for split in ("train", "test"):
        if len(images[f"x_{split}"]) != len(labels[f"y_{split}"]):
            counts = f"{len(images[f'x_{split}'])} images in x_{split}, {len(labels[f'y_{split}'])} labels in y_{split}"
            raise ValueError(counts)
    if images["x_train"].shape[1:] != images["x_test"].shape[1:]:
        raise ValueError(f"x_train and x_test differ in shape: {_sizes(images['x_train'], images['x_test'])}")
    _check_label_range(labels["y_train"], labels["y_test"])
    return Dataset(name, images["x_train"], labels["y_train"], images["x_test"], labels["y_test"])


def _images(key: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(f"{key} has shape {list(array.shape)}")
    if array.dtype.kind not in "uif":
        raise ValueError(f"{key} has dtype {array.dtype}")
    if array.dtype != np.uint8:
        _check_pixels(key, array)
    return np.ascontiguousarray(array, dtype=np.uint8)


def _check_pixels(key: str, array: NDArray[Any]) -> None:
    import numpy as np

    if not np.isfinite(array).all():
        raise ValueError(f"{key} holds values that are not finite")
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"{key} holds values from {array.min()} to {array.max()}")
    if (array != np.floor(array)).any():
        raise ValueError(f"{key} holds fractions (was it scaled already?)")


def _labels(key: str, array: NDArray[Any]) -> NDArray[np.int64]:
    import numpy as np

    if array.ndim == 2 and array.shape[1] == 1:  # as Keras's own CIFAR sets have it
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{key} has shape {list(array.shape)}")
    if array.dtype.kind not in "ui":
        raise ValueError(f"{key} has dtype {array.dtype}")
    if array.min() < 0:
        raise ValueError(f"{key} holds the label {array.min()}")
    if array.max() >= 2**31:
        raise ValueError(f"{key} holds the label {array.max()}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_label_range(y_train: NDArray[np.int64], y_test: NDArray[np.int64]) -> None:
    classes = int(y_train.max()) + 1
    if y_train.min() == y_train.max():
        raise ValueError("y_train holds a single class")
    if classes > len(y_train):
        raise ValueError(f"y_train holds the label {classes - 1}, but only {len(y_train)} images")
    if y_test.max() >= classes:
        raise ValueError(f"y_test holds the label {y_test.max()}, which y_train never does")


def _sizes(*arrays: NDArray[Any]) -> str:
    return " and ".join("×".join(map(str, array.shape[1:])) for array in arrays)
