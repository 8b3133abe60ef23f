"""C artifacts: a shared library whose function is called through ctypes."""

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import SessionError
from mnistkit.runtimes.generated_code import Library, get_library

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class CSession:
    """The function of a library with its buffers. Several sessions of one library can run at the same time."""

    def __init__(self, library: ctypes.CDLL, batch: int) -> None:
        image_bytes, classes, arena_bytes = (
            ctypes.c_uint32.in_dll(library, f"model_{name}").value for name in ("input_bytes", "classes", "arena_bytes")
        )
        self.batch = batch
        self._images = _aligned((batch, image_bytes), np.uint8)
        self._probabilities = _aligned((batch, classes), np.float32)
        self._arena = _aligned((max(arena_bytes, 1),), np.uint8)
        function = library["model_predict"]  # not an attribute, which all sessions would share
        function.restype = None  # the label is not used: it is the class with the largest probability
        self.run = self._bind(function)

    def _bind(self, function: Any) -> Callable[[], None]:
        """A call with the buffers of this session. Objects from `byref` are the arguments that take the least time."""
        arena = _reference(self._arena)
        calls = [
            functools.partial(function, _reference(image), _reference(probabilities), arena)
            for image, probabilities in zip(self._images, self._probabilities, strict=True)
        ]
        if len(calls) == 1:
            return calls[0]

        def run() -> None:
            for call in calls:
                call()

        return run

    def load(self, images: NDArray[np.uint8]) -> None:
        """Set the input: raw images [batch, height, width, channels]."""
        self._images[...] = images.reshape(self.batch, -1)

    def read(self) -> NDArray[np.float32]:
        """The probabilities [batch, classes] of the last run."""
        return self._probabilities.copy()


def open_session(artifact: Path, batch: int, *, trust_code: bool) -> CSession:
    """Open an artifact. Raises SessionError if its library can't be loaded, and the errors of `get_library`."""
    library = get_library(artifact, trust_code=trust_code)
    try:
        return CSession(_load(library), batch)
    except (OSError, ValueError, AttributeError) as error:  # not a library for this system, or a symbol is missing
        reason = str(error).replace(_path(library), library.name)
        raise SessionError(f"{library.name} is not a library of this artifact: {reason}", "export it again") from error


_descriptors: dict[bytes, int] = {}  # of files in memory, by the SHA-256 of their contents; open until the process ends


def _load(library: Library) -> ctypes.CDLL:
    """Load a library from a file in memory, which has the bytes that were checked and can't be replaced."""
    return ctypes.CDLL(_path(library))


def _path(library: Library) -> str:
    digest = hashlib.sha256(library.content).digest()
    if digest not in _descriptors:
        descriptor = os.memfd_create(library.name)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(library.content)
        _descriptors[digest] = descriptor
    return f"/proc/self/fd/{_descriptors[digest]}"


def _aligned(shape: tuple[int, ...], dtype: type[Any]) -> NDArray[Any]:
    """An array of zeros at a multiple of ALIGNMENT."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    array: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return array


def _reference(array: NDArray[Any]) -> Any:
    """The address of an array as an argument, which keeps the array alive."""
    return ctypes.byref((ctypes.c_char * array.nbytes).from_buffer(array.data))
