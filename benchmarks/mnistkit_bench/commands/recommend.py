"""`mnistkit recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from mnistkit_bench.recommendation import Objective


@click.command(short_help="Recommend the artifact to deploy to a machine.")
@click.argument("verify_json", type=options.PATH, default=options.WORKSPACE / "verify.json")
@click.argument("bench_json", type=options.PATH, default=options.WORKSPACE / "bench.json")
@click.option(
    "--for",
    "objective",
    type=click.Choice(["latency", "throughput"]),
    default="latency",
    help="What to be fast at; throughput is measured by 'bench --batch' or '--parallel'.",
)
@click.option(
    "--max-drop",
    type=options.FiniteRange(0, 100),
    metavar="POINTS",
    help="Maximum accuracy drop, in percentage points.",
)
@click.option(
    "--max-latency", type=options.FiniteRange(0), metavar="µs", help="Maximum time for one image, in microseconds."
)
@click.option("--max-size", type=click.IntRange(0), metavar="BYTES", help="Maximum artifact size, in bytes.")
@options.json_file
@click.pass_context
def command(
    ctx: click.Context,
    verify_json: Path,
    bench_json: Path,
    objective: Objective,
    max_drop: float | None,
    max_latency: float | None,
    max_size: int | None,
    json_path: Path | None,
) -> None:
    """Recommend the artifact and runtime to deploy to a machine, from the JSON files of its verify and bench.

    Recommends the fastest artifact that passes; among artifacts that are not measurably slower, the smallest. Exit code
    1 if no artifact passes within the limits, 3 if too few idle samples were measured to tell which is the fastest.
    """
    from mnistkit.bench_report import MEASURE_AGAIN, BenchReport
    from mnistkit.cli import terminal
    from mnistkit.core import records
    from mnistkit.verify.report import VerifyReport
    from mnistkit_bench import tables
    from mnistkit_bench.recommendation import Limits, recommend

    verified = records.read(verify_json, VerifyReport, "run 'mnistkit verify --json' again")
    measured = records.read(bench_json, BenchReport, MEASURE_AGAIN)
    result = recommend(verified, measured, Limits(max_drop, max_latency, max_size), objective)
    terminal.write_result(result, json_path, tables.recommendation_table(result), tables.recommendation_line(result))
    if result.unknown:
        ctx.exit(ExitCode.INCONCLUSIVE)
    ctx.exit(ExitCode.CHECK_FAILED if result.recommended is None else ExitCode.OK)
