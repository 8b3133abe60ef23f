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

from rich.console import Console

import untrained
from mnistkit import console, records, render
from mnistkit.bundle import Bundle
from mnistkit.data import mnist
from mnistkit_bench.comparison import compare
from mnistkit_bench.results import BenchReport, pack
from mnistkit_bench.statistics import Rounds, summarise

RUNS = 8
SECONDS = 2.0
ARTIFACT = "model.int8.tflite"

# What somebody would write who wants to know how long an interpreter takes.
BY_HAND = """
import sys, time, numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
images = np.load(sys.argv[2])["images"][:1000, None]
index, times = interpreter.get_input_details()[0]["index"], []
for turn in range(60_000):
    interpreter.set_tensor(index, images[turn % 1000])
    started = time.perf_counter_ns()
    interpreter.invoke()
    times.append(time.perf_counter_ns() - started)
print(np.median(times[5000:]) / 1000)
"""


def measured(bundle: Bundle, path: Path) -> BenchReport:
    """One run of the command line."""
    command = [sys.executable, "-m", "mnistkit", "bench", bundle.path, "--runtime", "litert", "--seconds", SECONDS]
    subprocess.run([*map(str, command), "--json", str(path), "--force"], check=True, capture_output=True)
    return records.read(path, BenchReport, "")


def by_hand(bundle: Bundle) -> float:
    """The p50 of the bare loop, in microseconds."""
    command = [sys.executable, "-c", BY_HAND, str(bundle.path / ARTIFACT), str(bundle.path / "testset.npz")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def slowed(report: BenchReport, factor: float) -> BenchReport:
    """The same, all times longer by that factor."""

    def slow(rounds: Rounds) -> list[list[int]]:
        return [[round(factor * time) for time in each] for each in rounds]

    rows = [(row, slow(row.rounds)) for row in report.measurements]
    changed = tuple(replace(row, latency=summarise(times), raw=pack(times)) for row, times in rows)
    return replace(report, measurements=changed)


def main() -> None:
    """Print what came out, beside the targets."""
    hands, reports = [], []
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        progress = console.Terminal()
        with progress.task("benching, and looping by hand, in turn", RUNS) as advance:
            for _ in range(RUNS):
                hands.append(by_hand(bundle))
                reports.append(measured(bundle, Path(folder) / "bench.json"))
                advance(1)
    ours = [row.latency.p50 for report in reports for row in report.measurements if row.artifact == ARTIFACT]
    ratios = [one / other for one, other in zip(ours, hands, strict=True)]
    pairs = [compare(one, other, 0.05) for one, other in itertools.pairwise(reports)]
    same = [row for found in pairs for row in found.rows]
    slow = [row for one, other in itertools.pairwise(reports) for row in compare(one, slowed(other, 1.1), 0.05).rows]

    grid = render.table("Can bench be believed?", ("what",), ("measured", "target"))
    grid.add_row(f"{ARTIFACT}: p50 by bench / by hand, median of {RUNS}", f"{statistics.median(ratios):.3f}", "± 0.03")
    spread = sorted(abs(row.ratio - 1) for row in same)
    grid.add_row(f"{len(same)} pairs of runs: p50 differs by, median", f"{spread[len(spread) // 2]:.1%}", "≤ 3%")
    covered = [row.interval for row in same if row.interval and row.interval.low <= 1 <= row.interval.high]
    grid.add_row("the ratio's interval covers 1", f"{len(covered)} of {len(same)}", "19 of 20")
    calm = sum(row.change == "no measurable difference" for row in same)
    grid.add_row("called no measurable difference", f"{calm} of {len(same)}", "all")
    found = sum(row.change == "slower" for row in slow)
    grid.add_row("the same with 10% planted, called slower", f"{found} of {len(slow)}", "all")
    tainted = sum(report.is_tainted for report in reports)
    grid.add_row("runs that were marked as spoilt", f"{tainted} of {RUNS}", "")
    Console().print(grid)


if __name__ == "__main__":
    main()
