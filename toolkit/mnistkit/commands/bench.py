"""`mnistkit bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.commands import options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mnistkit.fleet.run import Fleet

TAINTED = 4


class Share(click.ParamType[float]):
    """A percentage, such as 5%, as a share of 1."""

    name = "PERCENT"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share."""
        if isinstance(value, float):
            return value
        try:
            share = float(value.removesuffix("%")) / 100
        except ValueError:
            share = -1
        if not 0 <= share <= 10:
            self.fail(f"{value} is no percentage from 0% to 1000%.", param, ctx)
        return share


class Counts(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them."""

    name = "N,N…"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers."""
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if not all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
            self.fail(f"{value} is no list of numbers from 1 to 256.", param, ctx)
        return tuple(dict.fromkeys(map(int, parts)))


@click.command(short_help="Measure the latency of a bundle on this machine.")
@options.bundle_argument
@options.runtime
@click.option(
    "--seconds",
    type=options.FiniteRange(0.1, 300),
    default=1.5,
    show_default=True,
    help="How long to measure each artifact.",
)
@click.option("--samples", type=click.IntRange(1, 10**7), metavar="N", help="Measure each N times at least, instead.")
@click.option("--threads", type=Counts(), default="1", show_default=True, help="Numbers of threads to measure with.")
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    metavar="N",
    default=4,
    show_default=True,
    help="How many processes, one after the other, measure each artifact.",
)
@click.option("--strict", is_flag=True, help="Exit with 4 where the measurements can't be relied on.")
@click.option("--compare", "old_path", type=options.PATH, metavar="OLD", help="Hold the result against an earlier one.")
@click.option(
    "--fail-over", type=Share(), default="5%", show_default=True, help="How much slower than OLD is a regression."
)
@click.option("--across-machines", is_flag=True, help="Compare even with what was measured on another machine.")
@options.json_file
@options.force_json
@options.fleet
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    runtimes: tuple[str, ...],
    seconds: float,
    samples: int | None,
    threads: tuple[int, ...],
    processes: int,
    strict: bool,
    old_path: Path | None,
    fail_over: float,
    across_machines: bool,
    json_path: Path | None,
    force: bool,
    fleet: Fleet | None,
) -> None:
    """Measure the latency of a bundle's artifacts (build/cnn/bundle by default) on this machine.

    Each artifact runs in a process of its own, warmed up until it is steady, one real test image at a time; all of
    them in turn, in short rounds; and again in new processes. Times at which something slowed the processor don't
    count. What throttling, a moving clock or other programs have spoilt is marked. Exit code 1 where an artifact
    could not be measured, or is slower than in OLD; 4 with --strict.

    With --on or --inventory it does so on boards over SSH, and brings them what they lack first. Exit code 1 if a board
    fails, too.
    """
    from mnistkit import console, records
    from mnistkit.bundle import open_bundle
    from mnistkit.machine import this_machine
    from mnistkit.render import latencies
    from mnistkit_bench import comparison, jobs, results, rounds, runner

    options.check_vacant(json_path, force=force)
    if fleet:
        options.refuse_on_boards(ctx, "old_path", "fail_over", "across_machines")
        from mnistkit.fleet import run

        wanted = jobs.Amount(seconds, samples, processes)
        measured = run.bench(open_bundle(bundle), fleet, runtimes, wanted, threads, console.Terminal())
        code = options.deliver_fleet(measured, json_path)
        ctx.exit(code or (TAINTED if strict and measured.is_tainted else 0))
    old = records.read(old_path, results.BenchReport, rounds.MEASURE_AGAIN) if old_path else None
    if old:
        comparison.check(old, this_machine(), fail_over, across_machines=across_machines)
    amount = jobs.Amount(seconds, samples, processes)
    report = runner.bench(open_bundle(bundle), runtimes, amount, threads, console.Terminal())
    shown: list[RenderableType] = [latencies.bench_table(report), *latencies.bench_remarks(report)]
    failed = any(not failure.skipped for failure in report.failures)
    if old:
        compared = comparison.compare(old, report, fail_over)
        report = replace(report, comparison=compared)
        shown += [latencies.comparison_table(compared), *latencies.comparison_remarks(compared)]
        failed = failed or compared.failed
    console.deliver(report, json_path, *shown)
    ctx.exit(1 if failed else TAINTED if strict and report.is_tainted else 0)
