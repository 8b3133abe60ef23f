"""Results as text and rich tables. The modules of this package only format: they read and write nothing."""

from rich import box
from rich.table import Table
from rich.text import Text

from mnistkit.core.verdict import Verdict

UNSTABLE = "*"  # marks a measurement that may be unstable
_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def kilobytes(size: int) -> str:
    """A size in bytes, in units of 1,000 bytes."""
    return f"{size / 1000:,.1f}"


def percent(fraction: float) -> str:
    """A fraction, such as an accuracy, as a percentage."""
    return f"{100 * fraction:.2f}%"


def points(difference: float) -> str:
    """A difference in percentage points, with its sign; no negative zero."""
    return f"{round(difference, 2) + 0.0:+.2f}"


def microseconds(latency: float) -> str:
    """A latency in microseconds."""
    return f"{latency:,.1f}"


def verdict_text(verdict: Verdict) -> Text:
    """PASS, FAIL or INCONCLUSIVE, in color."""
    return Text(verdict, _STYLES[verdict])


def table(title: str, left: tuple[str, ...], right: tuple[str, ...], caption: str = "") -> Table:
    """An empty table with left-aligned columns for names, then right-aligned columns for numbers."""
    grid = Table(title=title, caption=caption or None, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.title_justify = grid.caption_justify = "left"
    for name in left:
        grid.add_column(name, no_wrap=True)
    for name in right:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid
