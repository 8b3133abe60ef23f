"""MNIST, from the cache or the first source that has it. Its SHA-256 is verified on every load."""

from pathlib import Path
from typing import Any

import platformdirs
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import DataError, StorageError, one_line
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import dataset, idx
from mnistkit.data.sources import SOURCES

NAME = "mnist"
DIGEST = "1ab36173c5442eefac1052e16cd4f6fadab376babf2649f6ff42f84b978b3824"  # Dataset.digest of MNIST


def cache_path() -> Path:
    """The npz file that mnistkit caches MNIST in."""
    return platformdirs.user_cache_path("mnistkit") / "mnist.npz"


def load(progress: Progress = SILENT) -> dataset.Dataset:
    """Load the 60,000 training and 10,000 test images; fetch them first if they are not cached.

    Raises DataError if no source has them.
    """
    return dataset.from_arrays(NAME, _read_cache() or _fetch(progress))


def _read_cache() -> dict[str, NDArray[Any]] | None:
    try:
        arrays = files.read_npz(cache_path(), dataset.KEYS)
        idx.check_mnist(arrays)
    except (StorageError, ValueError):  # missing or corrupt
        return None
    return arrays


def _cache(arrays: dict[str, NDArray[Any]]) -> str:
    """Write the cache; return what became of it. MNIST can be used without."""
    try:
        files.write_npz(cache_path(), arrays)
    except StorageError as error:
        return f"not cached: {error.problem}; set XDG_CACHE_HOME to a writable folder"
    return f"cached in {cache_path()}"


def _fetch(progress: Progress) -> dict[str, NDArray[Any]]:
    failures = []
    for name, source in SOURCES.items():
        try:
            arrays = source(progress)
            idx.check_mnist(arrays)
        except (ValueError, OSError) as error:
            failures.append(f"{name}: {one_line(error)}")
        else:
            progress.log(f"MNIST from {name}: SHA-256 verified, {_cache(arrays)}")
            return arrays
    raise DataError(
        f"could not download MNIST ({'; '.join(failures)})",
        "copy mnist.npz to this machine and pass it with --data PATH or MNISTKIT_DATA",
    )
