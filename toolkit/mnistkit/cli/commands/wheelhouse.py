"""`mnistkit wheelhouse`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options

if TYPE_CHECKING:
    from rich.table import Table

# The names and Pythons stand here so that help needs no import; a test holds them against mnistkit.wheelhouse.
TARGETS = "pi3", "pi4", "pi5", "pi-32bit"
PYTHONS = "3.11", "3.13"


@click.command(short_help="Fetch the wheels that a board without internet needs.")
@click.option("--target", type=click.Choice(TARGETS), required=True, help="The board.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    type=click.Choice(PYTHONS),
    help="The board's Python (repeatable): 3.11 on Raspberry Pi OS bookworm, 3.13 on trixie; by default all that fit.",
)
@click.option("--out", type=options.PATH, default=Path("wheelhouse"), show_default=True, help="The folder.")
def command(target: str, pythons: tuple[str, ...], out: Path) -> None:
    """Fetch the wheels that a board needs besides mnistkit's own, for 'mnistkit deploy --wheelhouse'.

    pip does it, from the index that it is set up with. pi3, pi4 and pi5 are those with a 64-bit system.
    """
    from mnistkit.cli import terminal
    from mnistkit.device import wheelhouse

    kind = wheelhouse.TARGETS[target]
    wheels = wheelhouse.fetch(kind, pythons or kind.pythons, out, terminal.Terminal())
    terminal.show(_wheels_table(wheels), f"in {out}")
    for package in kind.from_system:
        terminal.show(f"{package} has no wheel for it: on the board, sudo apt install python3-{package}")


def _wheels_table(wheels: Sequence[Path]) -> Table:
    """One line a wheel, and their sum."""
    from mnistkit.cli.tables import kilobytes, table

    grid = table("", ("wheel",), ("kB",))
    sizes = [wheel.stat().st_size for wheel in wheels]
    for wheel, size in zip(wheels, sizes, strict=True):
        grid.add_row(wheel.name, kilobytes(size))
    grid.add_section()
    grid.add_row("all", kilobytes(sum(sizes)))
    return grid
