"""Output: results on standard output, progress on standard error, color only on terminals."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment, Segments
from rich.text import Text

from mnistkit.cli.stdout import reader_may_close
from mnistkit.core import native_output, records
from mnistkit.core.errors import printable

PIPED_WIDTH = 120  # characters in a line if the output is not a terminal
MAX_TABLE_WIDTH = 200  # characters


def show(*renderables: RenderableType) -> None:
    """Print results on standard output. A table that is wider than the terminal wraps instead of losing digits."""
    console = _console(sys.stdout)
    options = console.options.update(max_width=MAX_TABLE_WIDTH)
    widths = [console.measure(item, options=options).maximum for item in renderables if not isinstance(item, str)]
    console.width = max([console.width, *widths])
    with reader_may_close():
        with console.capture() as capture:
            for number, item in enumerate(renderables):
                text = isinstance(item, str)
                if number and not text:
                    console.print()
                shape = console.options.update(no_wrap=text, overflow="ignore" if text else None)
                console.print(Segments(map(_printable, console.render(item, shape))), soft_wrap=text, end="")
        lines = [line.rstrip() for line in capture.get().split("\n")]  # rich pads tables to their full width
        sys.stdout.write("\n".join(lines))


def write_result(record: records.Record, json_path: Path | None, *renderables: RenderableType) -> None:
    """Write a result to `json_path` as JSON if one is given, and print it. If it is "-", print the JSON instead."""
    if json_path == Path("-"):
        with reader_may_close():
            sys.stdout.write(records.to_json(record))
        return
    if json_path:  # first: whoever reads the output may stop early
        records.write(json_path, record)
    show(*renderables)


def _printable(segment: Segment) -> Segment:
    """The segment with control characters shown as escapes: names and labels may come from elsewhere."""
    return Segment(printable(segment.text), segment.style, segment.control)


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)  # file names may have brackets


class Terminal:
    """A Progress that prints to standard error: on a terminal a progress bar for each task, else a line at its end."""

    def __init__(self) -> None:
        self._console = _console(native_output.duplicate_stream(sys.stderr))

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Show a progress bar during the task, and print a line with its duration at the end."""
        started = time.perf_counter()
        if self._console.is_terminal:
            with self._bar(name, total) as advance:
                yield advance
        else:
            yield lambda amount: None
        duration = f"  {time.perf_counter() - started:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), printable(name), (duration, "dim")), soft_wrap=True)

    def log(self, line: str) -> None:
        """Print one line, above the progress bar if there is one."""
        self._console.print(printable(line), soft_wrap=True)

    @contextmanager
    def _bar(self, name: str, total: float | None) -> Iterator[Callable[[float], None]]:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda amount: progress.advance(task, amount)
