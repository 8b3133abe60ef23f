"""The terminal: results on standard output, progress on standard error, colour only where it is wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mnistkit.core import native_output, records

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 120  # of a table that goes into a file
WIDEST = 200  # of a table


def show(*renderables: RenderableType) -> None:
    """Print a result."""
    console = _console(sys.stdout)
    free = console.options.update(max_width=WIDEST)
    widths = (console.measure(each, options=free).maximum for each in renderables if not isinstance(each, str))
    console.width = max(console.width, *widths, 0)  # a terminal that is too narrow wraps lines; rich would cut figures
    with console.capture() as capture:
        for renderable in renderables:
            console.print(renderable, soft_wrap=isinstance(renderable, str))  # a table alone knows how to wrap
    lines = (line.rstrip() for line in capture.get().splitlines())  # rich pads tables to their full width
    sys.stdout.write("\n".join([*lines, ""]))


def write_result(record: records.Record, json_path: Path | None, *renderables: RenderableType) -> None:
    """Print a result for people and, where a path is given, write it for machines too ('-': print that instead)."""
    if json_path == Path("-"):
        sys.stdout.write(records.to_json(record))
        return
    show(*renderables)
    if json_path:
        records.write(json_path, record)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    # No markup: a file's name may hold brackets.
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


class Terminal:
    """A Progress for people: a bar for each piece of work on a terminal, else a line when it is done."""

    def __init__(self) -> None:
        self._console = _console(native_output.duplicate_stream(sys.stderr))

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Show the work while it runs, and that it is done."""
        from rich.text import Text

        started = time.perf_counter()
        if self._console.is_terminal:
            with self._bar(name, total) as advance:
                yield advance
        else:
            yield lambda amount: None
        took = f"  {time.perf_counter() - started:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), name, (took, "dim")), soft_wrap=True)

    def log(self, line: str) -> None:
        """Print one line, above the bar where there is one."""
        self._console.print(line, soft_wrap=True)

    @contextmanager
    def _bar(self, name: str, total: float | None) -> Iterator[Callable[[float], None]]:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda amount: progress.advance(task, amount)
