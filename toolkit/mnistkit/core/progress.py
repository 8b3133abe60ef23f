"""What the library says of work under way, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Told of each piece of work: its name, how much it is, and how far it has come."""

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Callable[[float], None]]:
        """Enter it while the work runs; call what it yields with each amount done."""

    def log(self, line: str) -> None:
        """One line that the user should see now."""


class Silent:
    """A Progress that nobody listens to."""

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Callable[[float], None]]:
        """Listen to nothing."""
        return nullcontext(lambda amount: None)

    def log(self, line: str) -> None:
        """Say nothing."""


SILENT = Silent()
