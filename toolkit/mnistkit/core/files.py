"""Files written whole or not at all, and read without trust."""

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
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
    errno.EFBIG: "raise the file size limit (ulimit -f) or choose another place",
    errno.ENOENT: "check the path",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "name a folder, not a file",
}


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """The error that tells the user why `path` can't be read or written."""
    reason = error.strerror or one_line(error)
    remedy = _REMEDIES.get(error.errno or 0, "check the path and its permissions")
    return StorageError(f"cannot {action} {path}: {reason}", remedy)


def _temporary_sibling(path: Path) -> Path:
    # The suffix stays last, because Keras picks the format by it.
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
    """Yield a temporary path beside `path`; it takes that name if the block succeeds, else it goes.

    Raises StorageError where the block or the renaming meets an OSError.
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
    """The same for a folder: the old one stays whole until the new one is complete."""
    path = path.resolve()  # "." has no siblings
    temporary, old = _temporary_sibling(path), path.with_name(f".old-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)  # what a killed process of the same number left
        _remove(old)
        temporary.mkdir()
        yield temporary
        for file in temporary.iterdir():
            _flush(file)
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except BaseException:  # an interrupt too: `old` goes below
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
    """Write `content` to `path`: atomically, unless that is a device or a pipe, which must not be replaced."""
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            file.write(content)
        return
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def remove(path: Path) -> None:
    """Remove the file at `path`, where there is one; raises StorageError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("remove", path, error) from error


def read_bytes(path: Path) -> bytes:
    """All of `path`; raises StorageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from error


def check_readable(path: Path) -> None:
    """Raise StorageError unless `path` is a file that can be read: said before anything slow begins."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise storage_error("read", path, error) from error


def sha256(content: bytes | memoryview) -> str:
    """The SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file at `path`, read piece by piece; raises StorageError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise storage_error("read", path, error) from error


def sha256_of_arrays(*arrays: NDArray[Any]) -> str:
    """The SHA-256 over the dtypes, shapes and contents of arrays."""
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write `arrays` as a compressed npz, atomically; the same arrays give the same bytes."""
    import numpy as np

    content = io.BytesIO()
    # numpy stamps every member with zipfile's fixed date of 1980, so the bytes depend on the arrays alone.
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # "allow_pickle" is no key of ours
    write_bytes(path, content.getvalue())


def read_npz(path: Path, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays `keys` of an npz, never unpickling.

    Raises StorageError where the file can't be read and ValueError, in one line, where it is no such npz.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            if missing := [key for key in keys if key not in names]:
                raise ValueError(f"it has no array {', '.join(missing)} (found {_names(names)})")
            return {key: _read_array(archive, key) for key in keys}
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is not a whole npz file ({error})") from error
    except (MemoryError, OverflowError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise ValueError(f"it holds an impossible array ({type(error).__name__})") from error


def _read_array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    import numpy as np

    with archive.open(f"{key}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _names(names: set[str]) -> str:
    shown = sorted(names)[:6]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "") if shown else "none"
