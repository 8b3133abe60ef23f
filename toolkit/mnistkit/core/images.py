"""Raw images, uint8 [N, height, width, channels], in memory or in a file: a data set may be larger than the memory."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.files import storage_error

CHUNK_BYTES = 1 << 23  # 8 MB: all 10,000 test images of MNIST


class Images(Protocol):
    """Images that are indexed like an array; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, height, width, channels."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> NDArray[np.uint8]:
        """Read an image, a slice of images without a step, or the images at an array of indices."""


def chunk_length(image_shape: tuple[int, ...]) -> int:
    """The number of images in a chunk of at most CHUNK_BYTES; at least 1."""
    return max(1, CHUNK_BYTES // max(1, int(np.prod(image_shape))))


def chunks(images: Images) -> Iterator[NDArray[np.uint8]]:
    """The images, one chunk after the other."""
    length = chunk_length(images.shape[1:])
    for start in range(0, len(images), length):
        yield images[start : start + length]


class FileImages:
    """Images in a file of raw pixel values."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self._file = path.open("rb")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | NDArray[Any] | list[int], /) -> NDArray[np.uint8]:
        """Read an image, a slice of images without a step, or the images at an array of indices."""
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            return self._read(start, max(0, stop - start))
        if isinstance(key, int):
            start = range(len(self))[key]
            return self._read(start, 1).reshape(self.shape[1:])
        images = np.empty((len(key), *self.shape[1:]), np.uint8)
        for i, index in enumerate(key):
            images[i] = self._read(int(index), 1)
        return images

    def _read(self, start: int, count: int) -> NDArray[np.uint8]:
        images = np.empty((count, *self.shape[1:]), np.uint8)
        buffer, offset = memoryview(images.reshape(-1).data), start * int(np.prod(self.shape[1:]))
        while buffer:
            # Positioned reads: threads share the file.
            size = os.preadv(self._file.fileno(), [buffer], offset)
            if size == 0:
                raise EOFError(f"{self.path} is incomplete")
            buffer, offset = buffer[size:], offset + size
        return images


class TemporaryImages(FileImages):
    """Images in a temporary file, to which images can be appended; the file is deleted with the object."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        self._temporary = tempfile.NamedTemporaryFile(prefix="mnistkit-")  # noqa: SIM115  # open as long as the object
        super().__init__(Path(self._temporary.name), (0, *image_shape))

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add images at the end; raises StorageError."""
        try:
            self._temporary.write(np.ascontiguousarray(images).data)
            self._temporary.flush()
        except OSError as error:
            raise storage_error("write to", self.path.parent, error) from error
        self.shape = (self.shape[0] + len(images), *self.shape[1:])
