"""Measure how accurate `bench` is: against a plain interpreter loop, in repeated runs, with an injected slowdown.

python benchmarks/bench.py
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

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
from mnistkit_bench.samples import accepted_samples, pack, unpack
from mnistkit_bench.statistics import summarize

RUNS = 8
SECONDS = 1.5
ARTIFACT = "model.int8.tflite"


def run_bench(bundle: Bundle, path: Path) -> BenchReport:
    """The report of one run of `mnistkit bench`, which is written to `path`."""
    command = [sys.executable, "-m", "mnistkit", "bench", bundle.path, "--runtime", "litert", "--seconds", SECONDS]
    subprocess.run([*map(str, command), "--json", str(path), "--force"], check=True, capture_output=True)
    return records.read(path, BenchReport, "")


def ratio_to_plain_loop(bundle: Bundle) -> float:
    """The p50 that `bench` measures / the p50 of a plain loop, measured in turn."""
    path, test_set, litert = bundle.path / ARTIFACT, bundle.path / "testset.npz", RUNTIMES["litert"]
    jobs = [Job(path, litert, test_set), Job(path, litert, test_set, module="baseline_loop")]
    results, _ = measure(jobs, SamplingOptions(SECONDS))
    return results[0].median_latency() / results[1].median_latency()


def with_slowdown(report: BenchReport, factor: float) -> BenchReport:
    """The report with all samples multiplied by `factor`."""

    def slow_down(row: Measurement) -> Measurement:
        processes = [
            [replace(round_, nanoseconds=np.rint(factor * round_.nanoseconds).astype(np.int64)) for round_ in rounds]
            for rounds in unpack(row.raw)
        ]
        return replace(row, latency=summarize(accepted_samples(processes)[0]), raw=pack(processes))

    return replace(report, measurements=tuple(map(slow_down, report.measurements)))


def main() -> None:
    """Print the results with their targets."""
    ratios, reports = [], []
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        progress = terminal.Terminal()
        with progress.task("measuring with bench and a plain loop, in turn", RUNS) as advance:
            for _ in range(RUNS):
                ratios.append(ratio_to_plain_loop(bundle))
                reports.append(run_bench(bundle, Path(folder) / "bench.json"))
                advance(1)
    stable = [report for report in reports if not report.is_unstable]
    unstable = f"{RUNS - len(stable)} of {RUNS}"
    if len(stable) < 2:
        sys.exit(f"{unstable} runs are marked as unstable: measure again on an idle machine")
    pairs = list(itertools.pairwise(stable))
    repeated = [row for first, second in pairs for row in compare_reports(first, second, 0.05).measurements]
    slowed = [
        row for first, second in pairs for row in compare_reports(first, with_slowdown(second, 1.1), 0.05).measurements
    ]
    differences = sorted(abs(row.ratio - 1) for row in repeated)
    covering = sum(1 for row in repeated if row.interval and row.interval.low <= 1 <= row.interval.high)
    same = sum(row.change == "no measurable difference" for row in repeated)
    slower = sum(row.change == "slower" for row in slowed)

    grid = tables.table("Accuracy of bench", ("measurement",), ("result", "target"))
    grid.add_row(f"int8 TFLite, p50: bench / plain loop, {RUNS} runs", f"{statistics.median(ratios):.3f}", "± 0.03")
    grid.add_row(
        f"p50 difference of {len(repeated)} pairs of runs, median", f"{differences[len(differences) // 2]:.1%}", "≤ 3%"
    )
    grid.add_row("95% CI of the ratio contains 1", f"{covering} of {len(repeated)}", "19 of 20")
    grid.add_row("reported as no measurable difference", f"{same} of {len(repeated)}", "all")
    grid.add_row("injected slowdown of 10%: reported as slower", f"{slower} of {len(slowed)}", "all")
    grid.add_row("runs marked as unstable, excluded from the pairs", unstable, "")
    terminal.show(grid)


if __name__ == "__main__":
    main()
