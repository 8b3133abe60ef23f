"""Atomic writes, and reads that trust no file."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import glob
import hashlib
import io
import lzma
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core.errors import StorageError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mnistkit.core.images import Images

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # from <fcntl.h> and <linux/fs.h>

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another path",
    errno.EDQUOT: "free some space or choose another path",
    errno.EFBIG: "raise the file size limit (ulimit -f) or choose another path",
    errno.ENOENT: "check the path",
    errno.ENOTEMPTY: "another command has just written it: pass --force to replace it",
    errno.EISDIR: "pass a file, not a folder",
    errno.ENOTDIR: "pass a folder, not a file",
}


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """The StorageError for an OSError on `path`; `action` is a verb such as "read" or "write"."""
    reason = error.strerror or one_line(error)
    remedy = _REMEDIES.get(error.errno or 0, "check the path and its permissions")
    return StorageError(f"cannot {action} {path}: {reason}", remedy)


def check_not_full(error: Exception) -> None:
    """Raise StorageError if the exception of a library says that a temporary file could not be written."""
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        if os.strerror(code) in str(error):
            raise storage_error("write to", Path(tempfile.gettempdir()), OSError(code, os.strerror(code))) from error


def _temporary_sibling(path: Path) -> Path:
    # Keeps the suffix: Keras chooses the file format by it.
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders of processes that were killed while they wrote `path`."""
    for leftover in path.parent.glob(f".tmp-*-{glob.escape(path.name)}"):
        with contextlib.suppress(OSError), _locked(leftover):
            _remove(leftover)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a temporary file or folder, which ends with the process; raises OSError if another has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds, else remove it.

    Creates missing parent folders. Raises StorageError if the block or the rename raises an OSError.
    """
    temporary = _temporary_sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary.touch()
        with _locked(temporary):
            yield temporary
            _flush(temporary)
            temporary.replace(path)
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


@contextlib.contextmanager
def atomic_folder(path: Path, *, replace: bool) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`; rename it to `path` if the block succeeds, else remove it.

    With `replace`, an existing folder is exchanged for the new one in one step, so that a whole one is there at any
    time. Creates missing parent folders. Raises StorageError if the block or the rename raises an OSError, such as that
    a folder with files appeared at `path` and `replace` is not set.
    """
    path = path.resolve()  # "." has no name to derive the temporary name from
    temporary = _temporary_sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary.mkdir()
        with _locked(temporary):
            yield temporary
            for file in temporary.iterdir():
                _flush(file)
            if replace and path.is_dir():
                _exchange(temporary, path)
            else:
                temporary.rename(path)  # fails if `path` is a folder that is not empty
    except StorageError as error:  # of a file in it
        raise StorageError(error.problem.replace(str(temporary), str(path)), error.remedy) from error
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


def _exchange(first: Path, second: Path) -> None:
    """Exchange two folders, atomically where the system can; raises OSError."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 and renameat2(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE) == 0:
        return
    aside = first.with_name(f"{first.name}.old")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


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


def sha256_of_arrays(*arrays: NDArray[Any] | Images) -> str:
    """The SHA-256 of the dtypes, shapes and contents of arrays, hexadecimal."""
    import numpy as np

    from mnistkit.core.images import chunks

    digest = hashlib.sha256()
    for array in arrays:
        dtype = array.dtype if isinstance(array, np.ndarray) else np.dtype(np.uint8)
        digest.update(f"{dtype.str}{array.shape}".encode())
        for part in [array] if isinstance(array, np.ndarray) else chunks(array):
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write `arrays` as a compressed npz, atomically; equal arrays make equal bytes. Raises StorageError."""
    content = io.BytesIO()
    _write_members(content, arrays.items())
    write_bytes(path, content.getvalue())


def write_npz_members(path: Path, members: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write a compressed npz from (name, array) pairs, of which only one is in memory at a time; see `write_npz`."""
    with atomic_file(path) as temporary:
        _write_members(temporary, members)


def _write_members(target: Path | io.BytesIO, members: Iterable[tuple[str, NDArray[Any]]]) -> None:
    import numpy as np

    with zipfile.ZipFile(target, "w") as archive:
        for name, array in members:
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, so the bytes depend on the arrays alone
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


class NpzReader:
    """An open npz, read without unpickling. Methods raise any exception if the file is corrupt, see `open_npz`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}

    def header(self, name: str) -> tuple[str, tuple[int, ...]]:
        """The dtype and shape of an array, without decompressing it."""
        import numpy as np

        self.require([name])
        with self._archive.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
        return dtype.name, shape

    def read(self, name: str) -> NDArray[Any]:
        """An array."""
        import numpy as np

        self.require([name])
        with self._archive.open(f"{name}.npy") as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        return array

    def read_as(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of this dtype and shape; raises ValueError, before decompressing it, if it has others."""
        found = self.header(name)
        if found != (dtype, shape):
            raise ValueError(f"{name} is {found[0]} {list(found[1])}, not {dtype} {list(shape)}")
        return self.read(name)

    def require(self, names: Iterable[str]) -> None:
        """Raise ValueError unless the file has these arrays."""
        if missing := [name for name in names if name not in self.names]:
            raise ValueError(f"the file has no array {', '.join(missing)} (found: {_summarize(self.names)})")


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[NpzReader]:
    """Open an npz file.

    Raises StorageError if the file can't be read, and ValueError with a one-line message if it is not a valid npz file,
    also in the block.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            yield NpzReader(archive)
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a valid npz file ({error})") from error
    except (MemoryError, OverflowError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise ValueError(f"the file contains an invalid array ({type(error).__name__})") from error


def read_npz(path: Path, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays named `keys` of an npz; raises StorageError and ValueError as `open_npz` does."""
    with open_npz(path) as archive:
        archive.require(keys)
        return {key: archive.read(key) for key in keys}


def _summarize(names: set[str]) -> str:
    if not names:
        return "none"
    first = [name if name.isprintable() else ascii(name) for name in sorted(names)[:6]]
    return ", ".join(first) + (", …" if len(names) > len(first) else "")
