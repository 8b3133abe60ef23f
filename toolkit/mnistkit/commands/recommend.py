"""`mnistkit recommend`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Say which artifact to ship to a machine.")
@click.argument("verify_json", type=options.PATH, default=options.WORKSPACE / "verify.json")
@click.argument("bench_json", type=options.PATH, default=options.WORKSPACE / "bench.json")
@click.option("--max-drop", type=options.FiniteRange(0, 100), metavar="POINTS", help="Accuracy that may be lost.")
@click.option("--max-latency", type=options.FiniteRange(0), metavar="µs", help="The longest p50.")
@click.option("--max-size", type=click.IntRange(0), metavar="BYTES", help="The largest artifact.")
@options.json_file
@options.force_json
@click.pass_context
def command(
    ctx: click.Context,
    verify_json: Path,
    bench_json: Path,
    max_drop: float | None,
    max_latency: float | None,
    max_size: int | None,
    json_path: Path | None,
    force: bool,
) -> None:
    """Say which artifact and runtime to ship to the machine that was measured, by the records of verify and bench.

    The fastest of those that pass; of those that can't be told from the fastest, the smallest. Exit code 1 where
    none passes within the limits.
    """
    from mnistkit import console, records
    from mnistkit.render import latencies
    from mnistkit.verification import VerifyReport
    from mnistkit_bench import recommendation
    from mnistkit_bench.results import BenchReport
    from mnistkit_bench.rounds import MEASURE_AGAIN

    options.check_vacant(json_path, force=force)
    verified = records.read(verify_json, VerifyReport, "make it again with 'mnistkit verify --json'")
    measured = records.read(bench_json, BenchReport, MEASURE_AGAIN)
    limits = recommendation.Limits(max_drop, max_latency, max_size)
    found = recommendation.recommend(verified, measured, limits)
    console.deliver(found, json_path, latencies.recommendation_table(found), latencies.recommendation_line(found))
    ctx.exit(0 if found.chosen is not None else 1)
