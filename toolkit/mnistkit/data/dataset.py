"""Data sets as npz files (x_train, y_train, x_test, y_test), IDX files or folders of pictures, validated on loading."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import DataError
from mnistkit.core.images import Images
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import folder, idx
from mnistkit.data.folder import FolderOptions

KEYS = ("x_train", "y_train", "x_test", "y_test")
TRAINING_KEYS = ("x_train", "y_train")
LAYOUT = (
    "provide x_train and x_test, integer pixel values 0 to 255 of shape [N, height, width] or "
    "[N, height, width, channels], and y_train and y_test, a class number for each image"
)
FOLDER_DEFAULTS = FolderOptions()


@dataclass(frozen=True)
class LabeledImages:
    """Images, uint8 [N, height, width, channels], and their labels, int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Images, uint8 [N, height, width, channels] with raw pixel values 0 to 255, and labels, int64 [N].

    There may be no training images: they are needed to train, to calibrate, and to find a model's preprocessing.
    """

    name: str
    x_train: Images
    y_train: NDArray[np.int64]
    x_test: Images
    y_test: NDArray[np.int64]
    path: Path | None = None  # it was loaded from; None for MNIST
    class_names: tuple[str, ...] = ()  # empty if the data set does not name them

    def hold_out(self, which: str) -> tuple[LabeledImages, LabeledImages | None]:
        """Split the training images into training and validation: the "first" or "last" sixth, or "none".

        A sixth is 10,000 of MNIST's 60,000. Raises DataError if the validation part would be empty.
        """
        count = len(self.x_train) // 6
        if which == "none":
            return LabeledImages(self.x_train[:], self.y_train), None
        if count == 0:
            raise DataError(
                f"{len(self.x_train)} training images are too few to hold out a sixth", "train with --validation none"
            )
        parts = (slice(count, None), slice(count)) if which == "first" else (slice(-count), slice(-count, None))
        training, held_out = (LabeledImages(self.x_train[part], self.y_train[part]) for part in parts)
        return training, held_out

    def pick(self, first: int, count: int, *, test: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """At most `count` images and labels from index `first` on; raises DataError if `first` is out of range."""
        images, labels = (self.x_test, self.y_test) if test else (self.x_train, self.y_train)
        check_index(first, len(images))
        return images[first : first + count], labels[first : first + count]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.x_test.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """The number of classes: of their names, or the largest label plus one."""
        return len(self.class_names) or int(max(self.y_train.max(initial=0), self.y_test.max())) + 1

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the four arrays."""
        return files.sha256_of_arrays(self.x_train, self.y_train, self.x_test, self.y_test)


def check_index(index: int, count: int) -> None:
    """Raise DataError if `index` is not an index of `count` images."""
    if not 0 <= index < count:
        raise DataError(f"image index {index} is out of range", f"choose one from 0 to {count - 1}")


def load(path: Path, options: FolderOptions = FOLDER_DEFAULTS, progress: Progress = SILENT) -> Dataset:
    """Load a data set from an npz file, a folder of four IDX files with MNIST's names, or a folder of pictures.

    Raises StorageError if a file can't be read and DataError if its content is invalid.
    """
    try:
        if folder.is_picture_folder(path):
            return _from_pictures(path, options, progress)
        return from_arrays(path.stem, idx.read_folder(path) if path.is_dir() else _read_npz(path), path)
    except ValueError as error:
        raise DataError(f"{path} is not a valid data set: {error}", LAYOUT) from error


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file, in which those of the training images may be absent."""
    with files.open_npz(path) as archive:
        absent = [key for key in TRAINING_KEYS if key not in archive.names]
        keys = KEYS if len(absent) < len(TRAINING_KEYS) else [key for key in KEYS if key not in TRAINING_KEYS]
        archive.require(keys)
        return {key: archive.read(key) for key in keys}


def _from_pictures(path: Path, options: FolderOptions, progress: Progress) -> Dataset:
    pictures, (x_train, x_test) = folder.read(path, options, progress)
    y_train, y_test = (np.array(part.labels, np.int64) for part in (pictures.train, pictures.test))
    if len(y_train) and y_train.min() == y_train.max():
        raise ValueError("the training images are all of one class")
    return Dataset(path.resolve().name, x_train, y_train, x_test, y_test, path, pictures.class_names)


def from_arrays(name: str, arrays: dict[str, NDArray[Any]], path: Path | None = None) -> Dataset:
    """Make a data set from the four arrays; raises ValueError with a one-line message if they are invalid."""
    images = {key: _to_images(key, arrays[key]) for key in ("x_train", "x_test") if key in arrays}
    labels = {key: _to_labels(key, arrays[key]) for key in ("y_train", "y_test") if key in arrays}
    x_test, y_test = images["x_test"], labels["y_test"]
    x_train = images.get("x_train", np.empty((0, *x_test.shape[1:]), np.uint8))
    y_train = labels.get("y_train", np.empty(0, np.int64))
    for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise ValueError(f"{len(x)} images in x_{split}, {len(y)} labels in y_{split}")
    if x_train.shape[1:] != x_test.shape[1:]:
        shapes = f"{list(x_train.shape[1:])} and {list(x_test.shape[1:])}"
        raise ValueError(f"x_train and x_test differ in image shape: {shapes}")
    if len(y_train):
        _check_label_range(y_train, y_test)
    return Dataset(name, x_train, y_train, x_test, y_test, path)


def _to_images(key: str, array: NDArray[Any]) -> NDArray[np.uint8]:
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
    if not np.isfinite(array).all():
        raise ValueError(f"{key} contains values that are not finite")
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"{key} contains values from {array.min()} to {array.max()}")
    if (array != np.floor(array)).any():
        raise ValueError(f"{key} contains fractions (are the pixels already scaled?)")


def _to_labels(key: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.ndim == 2 and array.shape[1] == 1:  # the shape of keras.datasets.cifar10
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{key} has shape {list(array.shape)}")
    if array.dtype.kind not in "ui":
        raise ValueError(f"{key} has dtype {array.dtype}")
    for label in (array.min(), array.max()):
        if not 0 <= label < 2**31:
            raise ValueError(f"{key} contains the label {label}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_label_range(y_train: NDArray[np.int64], y_test: NDArray[np.int64]) -> None:
    largest = y_train.max()
    if y_train.min() == largest:
        raise ValueError("y_train contains a single class")
    if largest >= len(y_train):
        raise ValueError(f"y_train contains the label {largest}, but only {len(y_train)} images")
    if y_test.max() > largest:
        raise ValueError(f"y_test contains the label {y_test.max()}, but the largest in y_train is {largest}")
