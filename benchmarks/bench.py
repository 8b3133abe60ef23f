"""How far `bench` can be believed: beside a loop by hand, run after run, and with a slowdown planted.

python benchmarks/bench.py
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

import untrained
from mnistkit.bench_report import BenchReport, Measurement
from mnistkit.bundle import Bundle
from mnistkit.cli import tables, terminal
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.runtimes import RUNTIMES
from mnistkit_bench.comparison import compare_reports
from mnistkit_bench.jobs import Job, SamplingOptions
from mnistkit_bench.runner import measure
from mnistkit_bench.samples import accepted, pack, unpack
from mnistkit_bench.statistics import summarize

RUNS = 8
SECONDS = 1.5
ARTIFACT = "model.int8.tflite"


def measured(bundle: Bundle, path: Path) -> BenchReport:
    """One run of the command line."""
    command = [sys.executable, "-m", "mnistkit", "bench", bundle.path, "--runtime", "litert", "--seconds", SECONDS]
    subprocess.run([*map(str, command), "--json", str(path), "--force"], check=True, capture_output=True)
    return records.read(path, BenchReport, "")


def beside_a_loop_by_hand(bundle: Bundle) -> float:
    """The p50 as bench measures it over that of a bare loop, in the same rounds."""
    path, test_set, litert = bundle.path / ARTIFACT, bundle.path / "testset.npz", RUNTIMES["litert"]
    jobs = [Job(path, litert, test_set), Job(path, litert, test_set, module="by_hand")]
    ours, by_hand = (row.p50 for row in measure(jobs, SamplingOptions(SECONDS))[0])
    return ours / by_hand


def slowed(report: BenchReport, factor: float) -> BenchReport:
    """The same, all times longer by that factor."""

    def slow(row: Measurement) -> Measurement:
        processes = [
            [replace(each, times=np.rint(factor * each.times).astype(np.int64)) for each in rounds]
            for rounds in unpack(row.raw)
        ]
        return replace(row, latency=summarize(accepted(processes)[0]), raw=pack(processes))

    return replace(report, measurements=tuple(map(slow, report.measurements)))


def main() -> None:
    """Print what came out, beside the targets."""
    ratios, reports = [], []
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        progress = terminal.Terminal()
        with progress.task("benching, and beside a loop by hand, in turn", RUNS) as advance:
            for _ in range(RUNS):
                ratios.append(beside_a_loop_by_hand(bundle))
                reports.append(measured(bundle, Path(folder) / "bench.json"))
                advance(1)
    calm = [report for report in reports if not report.is_unstable]  # of the others it says itself: don't rely on them
    if len(calm) < 2:
        sys.exit(f"{RUNS - len(calm)} of {RUNS} runs were spoilt by what else runs here: try on a quiet machine")
    pairs = list(itertools.pairwise(calm))
    same = [row for one, other in pairs for row in compare_reports(one, other, 0.05).rows]
    slow = [row for one, other in pairs for row in compare_reports(one, slowed(other, 1.1), 0.05).rows]

    grid = tables.table("Can bench be believed?", ("what",), ("measured", "target"))
    grid.add_row(f"int8 TFLite: p50 by bench / by hand, {RUNS} times", f"{statistics.median(ratios):.3f}", "± 0.03")
    spread = sorted(abs(row.ratio - 1) for row in same)
    grid.add_row(f"p50 of {len(same)} pairs of runs differs by, median", f"{spread[len(spread) // 2]:.1%}", "≤ 3%")
    covered = [row.interval for row in same if row.interval and row.interval.low <= 1 <= row.interval.high]
    grid.add_row("the ratio's interval covers 1", f"{len(covered)} of {len(same)}", "19 of 20")
    alike = sum(row.change == "no measurable difference" for row in same)
    grid.add_row("called no measurable difference", f"{alike} of {len(same)}", "all")
    found = sum(row.change == "slower" for row in slow)
    grid.add_row("the same with 10% planted, called slower", f"{found} of {len(slow)}", "all")
    grid.add_row("runs marked as spoilt, left out of the pairs", f"{RUNS - len(calm)} of {RUNS}", "")
    Console().print(grid)


if __name__ == "__main__":
    main()
