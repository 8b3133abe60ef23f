"""The terminal: results on standard output, progress on standard error, colour only where it is wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mnistkit import records

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 120  # of a table that goes into a file


def show(*renderables: RenderableType) -> None:
    """Print a result."""
    console = _console(sys.stdout)
    with console.capture() as capture:
        for renderable in renderables:
            console.print(renderable)
    lines = (line.rstrip() for line in capture.get().splitlines())  # rich pads tables to their full width
    sys.stdout.write("\n".join([*lines, ""]))


def deliver(record: records.Record, json_path: Path | None, *renderables: RenderableType) -> None:
    """Print a result for people; or, where a path is given, write it for machines too ('-': print it instead)."""
    if json_path == Path("-"):
        sys.stdout.write(records.to_json(record))
        return
    if json_path:
        records.write(json_path, record)
    show(*renderables)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else PIPED_WIDTH, highlight=False)


class Terminal:
    """A Progress for people: a bar for each piece of work on a terminal, else a line when it is done."""

    def __init__(self) -> None:
        self._console = _console(sys.stderr)

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Show the work while it runs, and that it is done."""
        started = time.perf_counter()
        if self._console.is_terminal:
            with self._bar(name, total) as advance:
                yield advance
        else:
            yield lambda amount: None
        self._console.print(f"[green]✓[/] {name}  [dim]{time.perf_counter() - started:.1f} s[/]", soft_wrap=True)

    def say(self, line: str) -> None:
        """Print one line, above the bar where there is one."""
        self._console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def _bar(self, name: str, total: float | None) -> Iterator[Callable[[float], None]]:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda amount: progress.advance(task, amount)
