"""`mnistkit compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import exit_codes, options

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
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import verify
    from mnistkit.verify import predictions
    from mnistkit.verify.report import compare

    comparison = compare(predictions.load(first), predictions.load(second), margin)
    shown: list[RenderableType] = [verify.comparison_table(comparison), *verify.comparison_remarks(comparison)]
    if show_flips:
        flipped = [(verify.pairing_name(each), flip) for each in comparison.artifacts for flip in each.flips]
        shown.append(verify.flips_table(flipped) if flipped else verify.NO_FLIPS)
    terminal.write_result(comparison, json_path, *shown)
    ctx.exit(exit_codes.of_verdict(comparison.verdict, allow_inconclusive=allow_inconclusive))
