"""`mnistkit compare`."""

from pathlib import Path

import click

from mnistkit.cli import exit_codes, options


@click.command(short_help="Compare two saved prediction files.")
@click.argument("first", type=options.PATH)
@click.argument("second", type=options.PATH)
@options.margin
@options.allow_inconclusive
@click.option("--show-flips", is_flag=True, help="List the images that are regressions or fixes.")
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
    """Compare the prediction file SECOND with FIRST, the reference.

    'mnistkit verify --save-predictions' writes prediction files. The two may come from different machines, runtimes or
    versions. Artifacts are matched by name and runtime, and across runtimes if the files have no common one. The
    verdicts and exit codes are those of 'mnistkit verify'.
    """
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import verify as tables
    from mnistkit.verify import predictions
    from mnistkit.verify.report import compare_predictions

    comparison = compare_predictions(predictions.load(first), predictions.load(second), margin)
    flips = [(row.name, flip) for row in comparison.artifacts for flip in row.flips]
    shown = tables.show_flips(flips) if show_flips else []
    table, remarks = tables.comparison_table(comparison), tables.comparison_remarks(comparison)
    terminal.write_result(comparison, json_path, table, *remarks, *shown)
    ctx.exit(exit_codes.of_verdict(comparison.verdict, allow_inconclusive=allow_inconclusive))
