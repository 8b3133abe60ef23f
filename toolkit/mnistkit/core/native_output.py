"""Keeps the log lines of native libraries, which write straight to file descriptor 2, off the user's screen."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_disabled = False


def disable_suppression() -> None:
    """From now on `swallowed` swallows nothing: for a process whose output nobody sees anyway."""
    global _disabled  # noqa: PLW0603  # it holds for the process, as file descriptors do
    _disabled = True


@contextlib.contextmanager
def suppress_output(*descriptors: int) -> Iterator[None]:
    """Swallow what the block writes to these file descriptors (2 where none is named).

    For the whole process, so enter it on the main thread only. What talks to the user meanwhile does it `beside`.
    """
    if _disabled:
        yield
        return
    with Path(os.devnull).open("wb") as sink, contextlib.ExitStack() as stack:
        for descriptor in descriptors or (2,):
            stack.enter_context(_redirected(descriptor, sink.fileno()))
        yield


def duplicate_stream(stream: TextIO) -> TextIO:
    """The stream once more, on a descriptor of its own, which `swallowed` leaves alone."""
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
