"""How the library reports progress, without depending on a terminal."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Receives progress reports."""

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Callable[[float], None]]:
        """A context for a task; call the function that it yields with each amount done, out of `total`."""

    def log(self, line: str) -> None:
        """Show one line now."""


class Silent:
    """A Progress that discards all reports."""

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Callable[[float], None]]:
        """A context that reports nothing."""
        return nullcontext(lambda amount: None)

    def log(self, line: str) -> None:
        """Discard the line."""


SILENT = Silent()
