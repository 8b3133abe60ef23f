"""Markdown tables of the docs."""

from collections.abc import Iterable


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], text_columns: int = 1) -> str:
    """A table whose columns are aligned to the right, except the first ones, of text."""
    alignment = "|---" * text_columns + "|--:" * (len(columns) - text_columns) + "|"
    return "\n".join([_row(columns), alignment, *map(_row, rows), ""])


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
