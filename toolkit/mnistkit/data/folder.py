"""Data sets as folders of pictures, one folder for each class.

    FOLDER/train/<class>/*.png     and FOLDER/test/<class>/*.png; test images alone suffice for float formats
    FOLDER/<class>/*.png           one in six pictures of each class becomes a test image

Each picture is read once, by several threads, into a temporary file: the images need not fit into memory.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import DataError
from mnistkit.core.images import TemporaryImages
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import imaging
from mnistkit.data.imaging import ImageFormat, Resize
from mnistkit.data.sampling import stratified_sample

TEST_FRACTION = 6  # one in six images is a test image if the folder does not say which are
PICTURES_AT_ONCE = 256
SPLITS = ("train", "test")


@dataclass(frozen=True)
class FolderOptions:
    """How to read a folder of pictures."""

    image_shape: tuple[int, int, int] | None = None  # height, width, channels; None: those of the first picture
    resize: Resize | None = None
    class_names: tuple[str, ...] = ()  # in the model's order; empty: the folder names in alphabetical order
    split_seed: int = 0


@dataclass(frozen=True)
class Pictures:
    """Picture files and their labels."""

    paths: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def select(self, indices: NDArray[np.int64]) -> "Pictures":
        """The pictures at these indices."""
        return Pictures([self.paths[i] for i in indices], [self.labels[i] for i in indices])


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a data set, not read yet."""

    class_names: tuple[str, ...]
    train: Pictures
    test: Pictures


def is_picture_folder(path: Path) -> bool:
    """Whether a folder contains folders, and so is not a folder of IDX files."""
    return path.is_dir() and any(entry.is_dir() for entry in path.iterdir())


def scan(path: Path, options: FolderOptions) -> PictureFolder:
    """Find the pictures of each class; raises DataError if there are none, or a folder is not one of `class_names`."""
    splits = {name: path / name for name in SPLITS if (path / name).is_dir()}
    roots = list(splits.values()) or [path]
    found = sorted({folder.name for root in roots for folder in _folders(root)})
    if not found:
        raise DataError(f"{path} has no folders of classes", "put the pictures of each class into a folder of its name")
    names = options.class_names or tuple(found)
    if unknown := [name for name in found if name not in names]:
        raise DataError(
            f"{path} has the folder {unknown[0]}, which is none of the classes {', '.join(names)}",
            "rename it, or pass its name with --labels",
        )
    if splits:
        return PictureFolder(names, _pictures(splits.get("train"), names), _pictures(splits.get("test"), names))
    return PictureFolder(names, *_split(_pictures(path, names), options.split_seed))


def _folders(root: Path) -> Iterator[Path]:
    return (entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _pictures(root: Path | None, class_names: tuple[str, ...]) -> Pictures:
    """The pictures in the folders of the classes, by class and name."""
    pictures = Pictures()
    for label, name in enumerate(class_names):
        if root and (root / name).is_dir():
            paths = sorted(entry for entry in (root / name).iterdir() if entry.suffix.lower() in imaging.SUFFIXES)
            pictures.paths.extend(paths)
            pictures.labels.extend([label] * len(paths))
    return pictures


def _split(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    labels = np.array(pictures.labels, np.int64)
    count = len(labels) // TEST_FRACTION
    test = stratified_sample(labels, count, seed) if count else np.arange(len(labels))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return pictures.select(train), pictures.select(test)


def read(
    path: Path, options: FolderOptions, progress: Progress = SILENT
) -> tuple[PictureFolder, list[TemporaryImages]]:
    """The pictures of a data set and their pixels, of the training images and of the test images.

    Raises DataError if a picture is invalid or there are no test images, MissingExtraError if Pillow is not installed.
    """
    try:
        folder = scan(path, options)
    except OSError as error:
        raise files.storage_error("read", path, error) from error
    if not folder.test.paths:
        raise DataError(f"{path} has no test images", f"put them into {path / 'test'}/CLASS, as PNG, JPEG, WebP or BMP")
    format = _format(folder.test.paths[0], options)
    return folder, [_read(pictures, format, f"reading {path}", progress) for pictures in (folder.train, folder.test)]


def _format(first: Path, options: FolderOptions) -> ImageFormat:
    if options.image_shape:
        return ImageFormat(*options.image_shape, options.resize)
    with imaging.open_picture(first) as picture:
        return ImageFormat(picture.height, picture.width, 1 if picture.mode in ("1", "L") else 3, options.resize)


def _read(pictures: Pictures, format: ImageFormat, name: str, progress: Progress) -> TemporaryImages:
    images = TemporaryImages(format.shape)
    if not pictures.paths:
        return images
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress.task(name, len(pictures.paths)) as advance:
        for start in range(0, len(pictures.paths), PICTURES_AT_ONCE):
            paths = pictures.paths[start : start + PICTURES_AT_ONCE]
            images.append(np.stack(list(pool.map(imaging.decode, paths, [format] * len(paths)))))
            advance(len(paths))
    return images
