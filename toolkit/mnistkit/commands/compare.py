"""`mnistkit compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.commands import options

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(short_help="Hold two recordings of answers against each other.")
@click.argument("first", type=options.PATH)
@click.argument("second", type=options.PATH)
@options.margin
@options.allow_inconclusive
@click.option("--show-flips", is_flag=True, help="List the images that the second broke or mended.")
@options.json_file
@click.pass_context
def command(
    ctx: click.Context,
    first: Path,
    second: Path,
    margin: float,
    allow_inconclusive: bool,
    show_flips: bool,
    json_path: Path | None,
) -> None:
    """Hold the answers in SECOND against those in FIRST, both made by 'mnistkit verify --save'.

    They may come from two machines, two runtimes or two versions. An artifact is compared on the same runtime, and
    where the two have none in common, across runtimes. Exit codes as for 'mnistkit verify'.
    """
    from mnistkit import console, predictions, verification
    from mnistkit.render import verdicts

    comparison = verification.compare(predictions.load(first), predictions.load(second), margin)
    shown: list[RenderableType] = [verdicts.comparison_table(comparison), *verdicts.comparison_remarks(comparison)]
    if show_flips:
        flipped = [(verdicts.pairing_name(each), flip) for each in comparison.pairings for flip in each.flips]
        shown.append(verdicts.flips_table(flipped) if flipped else verdicts.NO_FLIPS)
    console.deliver(comparison, json_path, *shown)
    ctx.exit(options.exit_code(comparison.verdict, allow_inconclusive=allow_inconclusive))
