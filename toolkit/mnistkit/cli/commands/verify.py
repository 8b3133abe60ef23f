"""`mnistkit verify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import exit_codes, options

if TYPE_CHECKING:
    from mnistkit.cli.tables.verify import NamedFlips
    from mnistkit.core.images import Images


@click.command(short_help="Verify that exported models match the original's accuracy.")
@options.bundle_argument
@options.runtime
@options.trust_code
@options.margin
@options.limit
@options.sample_seed
@options.holm
@options.max_ece
@click.option(
    "--sequential",
    is_flag=True,
    help="Take images in random order and stop when the verdict of an artifact is certain.",
)
@click.option("--corruptions", is_flag=True, help="Also compare with float32 on images corrupted as in MNIST-C.")
@options.allow_inconclusive
@click.option("--show-flips", is_flag=True, help="Show the images that are regressions or fixes.")
@click.option("--png", type=options.PATH, metavar="FILE", help="Write the regressions and fixes to FILE as a picture.")
@options.json_file
@click.option("--junit", type=options.PATH, metavar="FILE", help="Write the result to FILE as JUnit XML.")
@click.option("--save-predictions", type=options.PATH, metavar="FILE", help="Write predictions for 'mnistkit compare'.")
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    runtimes: tuple[str, ...],
    trust_code: bool,
    margin: float,
    limit: int | None,
    seed: int,
    holm: bool,
    max_ece: float | None,
    sequential: bool,
    corruptions: bool,
    allow_inconclusive: bool,
    show_flips: bool,
    png: Path | None,
    json_path: Path | None,
    junit: Path | None,
    save_predictions: Path | None,
) -> None:
    """Verify that the artifacts of a bundle (build/cnn/bundle by default) match the original model's accuracy.

    Checks the SHA-256 of every file, runs each artifact on all test images, each runtime in a process of its own, and
    tests that no artifact is less accurate than the original by more than the margin. Exit code 1 if one is, 3 if there
    are too few images to decide. The results with --corruptions do not change the exit code.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import verify as tables
    from mnistkit.core import files, plots
    from mnistkit.core.errors import OptionError
    from mnistkit.verify import predictions
    from mnistkit.verify.corrupted_run import check_comparable, verify_corrupted
    from mnistkit.verify.junit import to_xml
    from mnistkit.verify.parity import Limits
    from mnistkit.verify.report import evaluate
    from mnistkit.verify.sequential_run import verify_sequentially

    if sequential and (limit or holm or save_predictions):
        raise OptionError(
            "--sequential decides itself how many images it takes, and has no p-values",
            "leave out --limit, --holm and --save-predictions",
        )
    if png:
        plots.require()
    opened = open_bundle(bundle, trust_code=trust_code)
    if corruptions:
        check_comparable(opened)
    evaluation = opened.evaluation_set()
    progress, limits = terminal.Terminal(), Limits(margin, max_ece=max_ece)
    images = min(limit or len(evaluation.labels), len(evaluation.labels))
    if warning := tables.too_few_images(images, margin):
        progress.log(warning)
    run = None
    if sequential:
        report = verify_sequentially(opened, evaluation, runtimes, limits, seed, progress)
    else:
        run = predictions.run_artifacts(opened, evaluation, runtimes, limit, seed, progress)
        report = evaluate(run, limits, by_holm=holm)
    if corruptions:
        corrupted = verify_corrupted(opened, evaluation, runtimes, limit, seed, progress)
        report = replace(report, corruptions=corrupted)
    flips = [(row.name, flip) for row in report.rows for flip in row.flips]
    shown = tables.show_flips(flips, evaluation.images) if show_flips else []
    # All files before the output, the predictions first: they took the longest to compute.
    if save_predictions and run:
        predictions.save(save_predictions, run)
    if junit:
        files.write_bytes(junit, to_xml(report, allow_inconclusive=allow_inconclusive))
    if png:
        _write_png(png, flips, evaluation.images)
    terminal.write_result(report, json_path, *tables.verify_tables(report), *tables.remarks(report), *shown)
    ctx.exit(exit_codes.of_verdict(report.verdict, allow_inconclusive=allow_inconclusive))


def _write_png(path: Path, flips: NamedFlips, images: Images) -> None:
    from mnistkit.cli.tables import verify as tables
    from mnistkit.core import files, plots

    if not flips:
        files.remove(path)  # an earlier run may have left one
        return
    indices, titles = tables.flips_for_grid(flips)
    files.write_bytes(path, plots.image_grid(images[indices], titles))
