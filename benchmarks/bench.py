"""Measure how accurate `bench` is: beside a plain loop, in equal runs, and with an injected slowdown.

python benchmarks/bench.py
"""

import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

import untrained
from mnistkit.bench_report import BenchReport, Measurement
from mnistkit.bundle import Bundle
from mnistkit.cli import tables, terminal
from mnistkit.core.interval import Interval
from mnistkit.data import mnist
from mnistkit_bench.comparison import compare_reports
from mnistkit_bench.jobs import SamplingOptions
from mnistkit_bench.measurements import BenchOptions, bench
from mnistkit_bench.runner import measure
from mnistkit_bench.samples import all_samples, idle_samples, pack, unpack
from mnistkit_bench.statistics import percentile_ratio, summarize
from plain_loop import PlainLoop, job

RUNS = 8
SAMPLING = SamplingOptions(seconds=1.5)
PAIRS_OF_RUN = 5
PERCENTILES = 50, 90, 99


def contains_one(interval: Interval | None) -> bool:
    """Whether the interval of a ratio contains 1."""
    return interval is not None and interval.low <= 1 <= interval.high


def with_slowdown(report: BenchReport, factor: float) -> BenchReport:
    """The report with all samples multiplied by `factor`."""

    def slow_down(row: Measurement) -> Measurement:
        processes = [
            [replace(round_, nanoseconds=np.rint(factor * round_.nanoseconds).astype(np.int64)) for round_ in rounds]
            for rounds in unpack(row.raw)
        ]
        return replace(row, latency=summarize(processes), raw=pack(processes))

    return replace(report, measurements=tuple(map(slow_down, report.measurements)))


def equal_pairs(bundle: Bundle) -> Iterator[dict[int, bool]]:
    """For pairs of equal jobs in one run: whether the CI of the ratio of each percentile contains 1."""
    results, _ = measure([job(bundle)] * 2 * PAIRS_OF_RUN, SAMPLING)
    for first, second in zip(results[::2], results[1::2], strict=True):
        idle = idle_samples(first.rounds), idle_samples(second.rounds)
        everything = all_samples(first.rounds), all_samples(second.rounds)
        yield {q: contains_one(percentile_ratio(*(idle if q == 50 else everything), q)[1]) for q in PERCENTILES}


def accuracy_table(loop: PlainLoop, reports: list[BenchReport], pairs: list[dict[int, bool]]) -> Table:
    """How accurate one run is, and how two runs compare."""
    stable = [report for report in reports if not report.is_unstable]
    if len(stable) < 2:
        sys.exit(f"only {len(stable)} of {RUNS} runs are not marked as unstable: measure again on an idle machine")
    successive = list(itertools.pairwise(stable))
    repeated = [row for first, second in successive for row in compare_reports(first, second, 0.05).measurements]
    slowed = [
        row
        for first, second in successive
        for row in compare_reports(first, with_slowdown(second, 1.1), 0.05).measurements
    ]
    difference = statistics.median(abs(row.ratio - 1) for row in repeated)
    same = sum(row.change == "no measurable difference" for row in repeated)
    slower = sum(row.change == "slower" for row in slowed)
    grid = tables.table("Accuracy of bench", ("measurement",), ("result", "target"))
    ratio = statistics.median(loop.ratios)
    grid.add_row(f"int8 TFLite, idle p50: bench / plain loop, {RUNS} runs", f"{ratio:.3f}", "1 ± 0.03")
    grid.add_row("share of samples over 1 ms, bench and plain loop", loop.shares(), "agree")
    grid.add_row(f"idle p50 of {len(repeated)} pairs of runs: median difference", f"{difference:.1%}", "≤ 3%")
    grid.add_row("reported as no measurable difference", f"{same} of {len(repeated)}", "all")
    grid.add_row("injected slowdown of 10%: reported as slower", f"{slower} of {len(slowed)}", "all")
    for q in PERCENTILES:
        name = "idle p50" if q == 50 else f"observed p{q}"
        covering = sum(pair[q] for pair in pairs)
        target = f"≥ {round(0.9 * len(pairs))}"
        grid.add_row(f"95% CI of the ratio of two equal jobs contains 1, {name}", f"{covering} of {len(pairs)}", target)
    grid.add_row("runs marked as unstable, not compared", f"{RUNS - len(stable)} of {RUNS}", "")
    return grid


def main() -> None:
    """Print the results with their targets."""
    loop, reports, pairs = PlainLoop(), list[BenchReport](), list[dict[int, bool]]()
    progress = terminal.Terminal()
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        with progress.task("measuring with bench and a plain loop, in turn", RUNS) as advance:
            for _ in range(RUNS):
                loop.add(measure([job(bundle), job(bundle, "baseline_loop")], SAMPLING)[0])
                reports.append(bench(bundle, BenchOptions(SAMPLING, ("litert",))))
                pairs += equal_pairs(bundle)
                advance(1)
    terminal.show(accuracy_table(loop, reports, pairs))


if __name__ == "__main__":
    main()
