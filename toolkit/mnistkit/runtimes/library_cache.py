"""Libraries that were compiled on this machine, in the user's cache folder.

A library is identified by its source, the compiler and the processor. The last bytes of its file are the SHA-256 of all
others, so that a corrupt file is compiled again instead of loaded.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

from mnistkit.core import files
from mnistkit.core.errors import StorageError

DIGEST_BYTES = hashlib.sha256().digest_size
MAX_LIBRARIES = 50  # older ones are removed


def get(identity: Iterable[bytes], compile: Callable[[], bytes]) -> bytes:
    """The library with this identity; calls `compile` if the cache does not have it.

    Raises StorageError if the cache can't be written, and what `compile` raises. Processes may call it at once: each
    compiles, and the last one's file stays.
    """
    hashes = (hashlib.sha256(part).digest() for part in identity)
    path = folder() / f"{files.sha256(b''.join(hashes))}.so"
    library = _read(path)
    if library is None:
        library = compile()
        try:
            files.write_bytes(path, library + hashlib.sha256(library).digest())
        except StorageError as error:
            raise StorageError(error.problem, f"{error.remedy}, or set XDG_CACHE_HOME to another folder") from error
        _remove_old(path.parent)
    return library


def folder() -> Path:
    """The folder of the cache."""
    return platformdirs.user_cache_path("mnistkit") / "c"


def _read(path: Path) -> bytes | None:
    """The library in a file; None if there is none, or it is corrupt."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    library, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return library if hashlib.sha256(library).digest() == digest else None


def _remove_old(folder: Path) -> None:
    with contextlib.suppress(OSError):  # another process may remove them too
        libraries = sorted(folder.glob("*.so"), key=lambda path: path.stat().st_mtime)
        for path in libraries[:-MAX_LIBRARIES]:
            path.unlink(missing_ok=True)
