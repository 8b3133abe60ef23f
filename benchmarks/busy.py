"""Measure while other processes keep cores busy: what stays, what changes, and whether a plain loop sees the same.

python benchmarks/busy.py
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

import untrained
from mnistkit.bench_report import BenchReport
from mnistkit.cli import tables, terminal
from mnistkit.data import mnist
from mnistkit_bench.jobs import SamplingOptions
from mnistkit_bench.measurements import BenchOptions, bench
from mnistkit_bench.runner import measure
from plain_loop import PlainLoop, job

BUSY = 0, 1, 2  # cores
SAMPLING, LOOP_SAMPLING = SamplingOptions(seconds=1.5), SamplingOptions(seconds=20)


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep this many cores busy with other processes."""
    command = [sys.executable, "-c", "while True: sum(range(100_000))"]
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield


def busy_table(reports: list[BenchReport]) -> Table:
    """The latency of each artifact while other processes keep cores busy."""
    columns = [f"{name}\n{cores} busy" for name in ("idle p50", "observed p99") for cores in BUSY]
    grid = tables.table("Latency in µs while cores are busy", ("artifact",), (*columns, "idle p50\nchanges"))
    for rows in zip(*(report.measurements for report in reports), strict=True):
        idle = [row.latency.idle.p50 for row in rows]
        observed = [row.latency.observed.p99.value if row.latency.observed.p99 else float("nan") for row in rows]
        change = max(abs(value / idle[0] - 1) for value in idle)
        grid.add_row(rows[0].artifact, *map(tables.microseconds, (*idle, *observed)), f"{change:.1%}")
    return grid


def shares_table(loops: list[PlainLoop]) -> Table:
    """The shares of long samples of the tool and of a plain loop."""
    grid = tables.table(
        "Share of samples over 1 ms, int8 TFLite",
        ("busy cores",),
        ("bench and plain loop, binomial intervals", "target"),
    )
    for cores, loop in zip(BUSY, loops, strict=True):
        grid.add_row(str(cores), loop.shares(), "agree")
    return grid


def main() -> None:
    """Print both tables."""
    reports, loops = list[BenchReport](), [PlainLoop() for _ in BUSY]
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        with terminal.Terminal().task("measuring on busy cores", len(BUSY)) as advance:
            for cores, loop in zip(BUSY, loops, strict=True):
                with busy_cores(cores):
                    reports.append(bench(bundle, BenchOptions(SAMPLING)))
                    loop.add(measure([job(bundle), job(bundle, "baseline_loop")], LOOP_SAMPLING)[0])
                advance(1)
    terminal.show(busy_table(reports), shares_table(loops))


if __name__ == "__main__":
    main()
