"""`mnistkit verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.commands import options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mnistkit.fleet.run import Fleet


@click.command(short_help="Check that a bundle is as right as the model.")
@options.bundle_argument
@options.runtime
@options.margin
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Ask only N images, the classes in their shares.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Which N images.")
@options.allow_inconclusive
@click.option("--show-flips", is_flag=True, help="Show the images that were broken or mended.")
@click.option("--png", type=options.PATH, metavar="FILE", help="Write those images as a picture.")
@options.json_file
@click.option("--junit", type=options.PATH, metavar="FILE", help="Write the result as JUnit XML.")
@click.option("--save", type=options.PATH, metavar="FILE", help="Write all answers, for 'mnistkit compare'.")
@options.fleet
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    runtimes: tuple[str, ...],
    margin: float,
    limit: int | None,
    seed: int,
    allow_inconclusive: bool,
    show_flips: bool,
    png: Path | None,
    json_path: Path | None,
    junit: Path | None,
    save: Path | None,
    fleet: Fleet | None,
) -> None:
    """Check that a bundle (build/cnn/bundle by default) is as right as the original model.

    Holds every file against its SHA-256, runs every artifact on all test images, each runtime in a process of its
    own, and tests that no artifact is worse than the original by more than the margin. Exit code 1 if one is, 3 if
    there are too few images to tell.

    With --on or --inventory it does so on boards over SSH, brings them what they lack first, and compares their answers
    with those of this machine. Exit code 1 if a board fails, too.
    """
    from mnistkit import console, files, pictures, predictions, verification
    from mnistkit.bundle import open_bundle
    from mnistkit.junit import to_xml
    from mnistkit.render import verdicts

    if fleet:
        options.refuse_on_boards(ctx, "show_flips", "png", "junit", "save")
        from mnistkit.fleet import run

        sample = run.Sample(limit, seed, margin)
        asked = run.verify(open_bundle(bundle), fleet, runtimes, sample, console.Terminal())
        ctx.exit(options.deliver_fleet(asked, json_path, allow_inconclusive=allow_inconclusive))
    if png:
        pictures.require()
    opened = open_bundle(bundle)
    gathered = predictions.gather(opened, runtimes, limit, seed, console.Terminal())
    report = verification.judge(gathered, margin)
    flipped = [(f"{row.artifact} on {row.runtime}", flip) for row in report.rows for flip in row.flips]
    shown: list[RenderableType] = [verdicts.verify_table(report), *verdicts.remarks(report)]
    if show_flips:
        shown += verdicts.flips_shown(flipped, opened.evaluation_set().images)
    if save:  # first, for the answers took the longest
        predictions.save(save, gathered)
    console.deliver(report, json_path, *shown)
    if junit:
        files.write_bytes(junit, to_xml(report, allow_inconclusive=allow_inconclusive))
    if png and flipped:
        indices, titles = verdicts.flips_for_sheet(flipped)
        files.write_bytes(png, pictures.sheet(opened.evaluation_set().images[indices], titles))
    elif png:
        files.remove(png)  # an older one would look like today's
    ctx.exit(options.exit_code(report.verdict, allow_inconclusive=allow_inconclusive))
