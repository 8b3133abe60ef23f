"""Standard output whose reader may stop early."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mnistkit.core.files import storage_error


@contextlib.contextmanager
def reader_may_close() -> Iterator[None]:
    """Write to standard output in the block. A reader that has closed it, as `head` does, does not fail the command.

    Raises StorageError if it can't be written, such as to a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout.fileno())
    except OSError as error:
        discard(sys.stdout.fileno())
        raise storage_error("write to", Path("standard output"), error) from error


def discard(descriptor: int) -> None:
    """Discard what is in the buffer of a stream, and all that follows."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
