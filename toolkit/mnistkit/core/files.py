"""Atomic writes, and reads that trust no file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import lzma
import os
import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core.errors import StorageError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another path",
    errno.EDQUOT: "free some space or choose another path",
    errno.EFBIG: "raise the file size limit (ulimit -f) or choose another path",
    errno.ENOENT: "check the path",
    errno.EISDIR: "pass a file, not a folder",
    errno.ENOTDIR: "pass a folder, not a file",
}


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """The StorageError for an OSError on `path`; `action` is a verb such as "read" or "write"."""
    reason = error.strerror or one_line(error)
    remedy = _REMEDIES.get(error.errno or 0, "check the path and its permissions")
    return StorageError(f"cannot {action} {path}: {reason}", remedy)


def _temporary_sibling(path: Path) -> Path:
    # Keeps the suffix: Keras chooses the file format by it.
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds, else remove it.

    Creates missing parent folders. Raises StorageError if the block or the rename raises an OSError.
    """
    temporary = _temporary_sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`; rename it to `path` if the block succeeds, else remove it.

    An existing folder stays intact until the new one is complete. Creates missing parent folders. Raises StorageError
    if the block or a rename raises an OSError.
    """
    path = path.resolve()  # "." has no name to derive the temporary names from
    temporary, old = _temporary_sibling(path), path.with_name(f".old-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)  # left by a killed process that had the same process ID
        _remove(old)
        temporary.mkdir()
        yield temporary
        for file in temporary.iterdir():
            _flush(file)
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except BaseException:  # also KeyboardInterrupt: `old` is removed below
            if old.exists() and not path.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)
            _remove(old)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`: atomically, or in place if `path` is a device or a pipe."""
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            file.write(content)
        return
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def remove(path: Path) -> None:
    """Remove the file at `path` if it exists; raises StorageError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("remove", path, error) from error


def read_bytes(path: Path) -> bytes:
    """The content of the file at `path`; raises StorageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from error


def check_readable(path: Path) -> None:
    """Raise StorageError if `path` is not a readable file. For use before slow work."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise storage_error("read", path, error) from error


def sha256(content: bytes | memoryview) -> str:
    """The SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file at `path`, hexadecimal, read in chunks; raises StorageError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise storage_error("read", path, error) from error


def sha256_of_arrays(*arrays: NDArray[Any]) -> str:
    """The SHA-256 of the dtypes, shapes and contents of arrays, hexadecimal."""
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write `arrays` as a compressed npz, atomically; equal arrays make equal bytes. Raises StorageError."""
    import numpy as np

    content = io.BytesIO()
    # numpy dates every member 1980, so the bytes depend on the arrays alone.
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # no key is "allow_pickle"
    write_bytes(path, content.getvalue())


def read_npz(path: Path, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays named `keys` of an npz, read without unpickling.

    Raises StorageError if the file can't be read, and ValueError with a one-line message if it is not a valid npz file
    or an array is missing.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            if missing := [key for key in keys if key not in names]:
                raise ValueError(f"the file has no array {', '.join(missing)} (found: {_summarize(names)})")
            return {key: _read_array(archive, key) for key in keys}
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a valid npz file ({error})") from error
    except (MemoryError, OverflowError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise ValueError(f"the file contains an invalid array ({type(error).__name__})") from error


def _read_array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    import numpy as np

    with archive.open(f"{key}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _summarize(names: set[str]) -> str:
    if not names:
        return "none"
    first = sorted(names)[:6]
    return ", ".join(first) + (", …" if len(names) > len(first) else "")
