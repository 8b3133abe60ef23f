"""Values to what people read: text and rich tables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mnistkit.bench_report import Failure
    from mnistkit.verify.parity import Parity

UNSTABLE = "*"  # marks a measurement that may be unstable
_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def kilobytes(count: int) -> str:
    """Bytes in units of 1,000."""
    return f"{count / 1000:,.1f}"


def percent(share: float) -> str:
    """A share of 1, such as an accuracy, in percent."""
    return f"{100 * share:.2f}%"


def points(difference: float) -> str:
    """A difference of percentages, signed."""
    return f"{difference:+.2f}"


def microseconds(value: float) -> str:
    """A latency."""
    return f"{value:,.1f}"


def verdict(parity: Parity) -> Text:
    """PASS, FAIL or INCONCLUSIVE, coloured."""
    return Text(parity.verdict, _STYLES[parity.verdict])


def table(title: str, left: tuple[str, ...], right: tuple[str, ...], caption: str = "") -> Table:
    """An empty table with names in the columns `left` and figures in the columns `right`."""
    grid = Table(title=title, caption=caption or None, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.title_justify = grid.caption_justify = "left"
    for name in left:
        grid.add_column(name, no_wrap=True)
    for name in right:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def failure_line(failure: Failure) -> str:
    """What could not be measured, and why."""
    what = "not measured" if failure.skipped else "failed"
    return f"{what}: {failure.name}: {failure.problem}; {failure.remedy}"
