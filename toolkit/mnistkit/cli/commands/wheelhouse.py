"""`mnistkit wheelhouse`."""

from pathlib import Path

import click

from mnistkit.cli import options

# Repeated here so that --help imports nothing; a test compares them with mnistkit.device.wheelhouse.
TARGETS = "pi3", "pi4", "pi5", "pi-32bit"
PYTHONS = "3.11", "3.13"


@click.command(short_help="Download the wheels that an offline board needs.")
@click.option("--target", type=click.Choice(TARGETS), required=True, help="Board to download wheels for.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    type=click.Choice(PYTHONS),
    help="Python of the board (repeatable): 3.11 on Raspberry Pi OS bookworm, 3.13 on trixie. Default: every "
    "supported version.",
)
@click.option("--out", type=options.PATH, default=Path("wheelhouse"), help="Folder to write the wheels to.")
def command(target: str, pythons: tuple[str, ...], out: Path) -> None:
    """Download the wheels that an offline board needs, for 'mnistkit fleet deploy --wheelhouse'.

    Downloads the dependencies of mnistkit, not mnistkit itself, with pip and the index that it is configured with.
    pi3, pi4 and pi5 are boards with a 64-bit system.
    """
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import kilobytes, table
    from mnistkit.device import wheelhouse

    board = wheelhouse.TARGETS[target]
    wheels = wheelhouse.fetch(board, pythons or board.pythons, out, terminal.Terminal())
    sizes = [wheel.stat().st_size for wheel in wheels]
    grid = table("", ("wheel",), ("kB",))
    for wheel, size in zip(wheels, sizes, strict=True):
        grid.add_row(wheel.name, kilobytes(size))
    grid.add_section()
    grid.add_row("total", kilobytes(sum(sizes)))
    terminal.show(grid, f"wheels written to {out}")
    for package in board.system_packages:
        terminal.show(f"no wheel for {package}: on the board, run 'sudo apt install python3-{package}'")
