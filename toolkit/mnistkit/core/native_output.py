"""Keeps the log lines of native libraries, which write directly to file descriptor 2, off the terminal."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_disabled = False


def disable_suppression() -> None:
    """Make `suppress_output` do nothing in this process, e.g. in a worker whose parent reads its standard error."""
    global _disabled  # noqa: PLW0603  # file descriptors are global to the process too
    _disabled = True


@contextlib.contextmanager
def suppress_output(*descriptors: int) -> Iterator[None]:
    """Discard everything that the process writes to these file descriptors during the block; 2 by default.

    Affects all threads, so enter it on the main thread only. A `duplicate_stream` still reaches the terminal.
    """
    if _disabled:
        yield
        return
    with Path(os.devnull).open("wb") as sink, contextlib.ExitStack() as stack:
        for descriptor in descriptors or (2,):
            stack.enter_context(_redirected(descriptor, sink.fileno()))
        yield


def duplicate_stream(stream: TextIO) -> TextIO:
    """A copy of the stream on its own file descriptor, which `suppress_output` does not affect."""
    return os.fdopen(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)


@contextlib.contextmanager
def _redirected(descriptor: int, target: int) -> Iterator[None]:
    stream = {1: sys.stdout, 2: sys.stderr}[descriptor]
    stream.flush()
    saved = os.dup(descriptor)
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(saved, descriptor)
        os.close(saved)
