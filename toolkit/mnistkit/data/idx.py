"""IDX, the file format of MNIST and of data sets modeled on it.

An IDX file is a big-endian header (two zero bytes, 8 for unsigned bytes, the number of dimensions, each dimension as
uint32), followed by the values. Source: http://yann.lecun.com/exdb/mnist/
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files

FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
SHA256 = {  # of MNIST's uncompressed IDX files
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def encode(array: NDArray[np.uint8]) -> bytes:
    """Encode an array, uint8 of any shape, as an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decode an IDX file of unsigned bytes; raises ValueError if it is invalid."""
    try:
        zero, dtype, rank = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{rank}I", content, 4)
    except struct.error as error:
        raise ValueError("the IDX header is incomplete") from error
    if (zero, dtype) != (0, 8):
        raise ValueError("not an IDX file of unsigned bytes")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Read the four arrays from the IDX files in `folder` that have MNIST's names, compressed (.gz) or not.

    Raises StorageError if a file can't be read and ValueError if a file is invalid.
    """
    return {key: _read(folder / name) for key, name in FILES.items()}


def _read(path: Path) -> NDArray[np.uint8]:
    compressed = path.with_name(f"{path.name}.gz")
    try:
        if compressed.exists():
            return decode(gzip.decompress(files.read_bytes(compressed)))
        return decode(files.read_bytes(path))
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name}: {error}") from error


def check_mnist(arrays: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError if these are not the four arrays of MNIST, byte for byte."""
    for key, expected in SHA256.items():
        array = arrays[key]
        if array.dtype != "uint8" or files.sha256(encode(array)) != expected:
            raise ValueError(f"{key} is not MNIST's (SHA-256 differs)")
