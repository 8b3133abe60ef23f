"""The real MNIST, from the first source that has it, checked by its SHA-256 sums each time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core import files
from mnistkit.core.errors import DataError, StorageError, one_line
from mnistkit.core.packages import missing_package
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import dataset, idx
from mnistkit.data.sources import SOURCES

if TYPE_CHECKING:
    from numpy.typing import NDArray


NAME = "mnist"
DIGEST = "1ab36173c5442eefac1052e16cd4f6fadab376babf2649f6ff42f84b978b3824"  # of the Dataset that it makes


def cache_path() -> Path:
    """Where mnistkit keeps its own copy."""
    try:
        import platformdirs
    except ModuleNotFoundError as error:
        raise missing_package("platformdirs", "train") from error
    return platformdirs.user_cache_path("mnistkit") / "mnist.npz"


def load(progress: Progress = SILENT) -> dataset.Dataset:
    """The 60,000 training and 10,000 test images, fetched where they aren't in the cache.

    Raises DataError where no source delivers, StorageError where the cache can't be written.
    """
    return dataset.from_arrays(NAME, _cached() or _fetch(progress))


def _cached() -> dict[str, NDArray[Any]] | None:
    try:
        arrays = files.read_npz(cache_path(), dataset.KEYS)
        idx.check_mnist(arrays)
    except (StorageError, ValueError):  # absent or damaged: fetched anew
        return None
    return arrays


def _fetch(progress: Progress) -> dict[str, NDArray[Any]]:
    failures = []
    for name, source in SOURCES.items():
        try:
            arrays = source(progress)
            idx.check_mnist(arrays)
        except (ValueError, OSError) as error:
            failures.append(f"{name}: {one_line(error)}")
        else:
            files.write_npz(cache_path(), arrays)
            progress.log(f"MNIST from {name}, checked, kept in {cache_path()}")
            return arrays
    raise DataError(
        f"MNIST is not to be had here ({'; '.join(failures)})",
        "bring mnist.npz by hand and name it with --data PATH or MNISTKIT_DATA",
    )
