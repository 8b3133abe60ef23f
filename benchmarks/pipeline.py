"""The pipeline against its targets: start-up, train, export, verify, bench, each as a user runs it.

    python benchmarks/pipeline.py

Times of one machine are no promise for another; the targets are those of two cores.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from mnistkit.cli import tables

DEVICES = ("--runtime", "litert", "--runtime", "onnxruntime")  # what runs on a device, without TensorFlow
STARTS = 21  # of `mnistkit --help`, whose median counts


def run(*arguments: object) -> float:
    """The wall seconds of one command line."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mnistkit", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def imported_by_help() -> set[str]:
    """The top-level modules that `mnistkit --help` imports."""
    code = "import sys; from mnistkit import cli; cli.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def measurements(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """What was measured, what came out, the target, and whether it holds."""
    start = statistics.median(run("--help") for _ in range(STARTS))
    yield "mnistkit --help, median", f"{1000 * start:.0f} ms", "≤ 150 ms", start <= 0.150
    heavy = imported_by_help() & {"numpy", "tensorflow", "keras", "rich"}
    yield "heavy imports of --help", ", ".join(sorted(heavy)) or "none", "none", not heavy

    model, bundle, report = folder / "model.keras", folder / "bundle", folder / "verify.json"
    steps = {
        "train": run("train", "--out", folder),
        "export": run("export", model),
        "verify": run("verify", bundle, *DEVICES, "--json", report),
        "bench": run("bench", bundle),
    }
    trained = json.loads((folder / "run.json").read_text())
    yield "training alone", f"{trained['training_seconds']:.0f} s", "≤ 75 s", trained["training_seconds"] <= 75
    yield "test accuracy", f"{trained['test_accuracy']:.4f}", "≥ 0.9900", trained["test_accuracy"] >= 0.99
    targets = {"export": 25}
    for name, seconds in steps.items():
        target = targets.get(name)
        yield name, f"{seconds:.1f} s", f"≤ {target} s" if target else "", not target or seconds <= target
    total = sum(steps.values())
    yield "train, export, verify and bench", f"{total:.0f} s", "≤ 180 s", total <= 180

    rows = json.loads(report.read_text())["rows"]
    verified = sum(row["seconds"] for row in rows)
    yield "verify of all seven, beyond imports", f"{verified:.2f} s", "≤ 3 s", verified <= 3
    loss = max(0.0, *(-row["parity"]["difference"] for row in rows if "int8" in row["artifact"]))
    yield "largest loss in int8", f"{loss:.2f} points", "≤ 0.20", loss <= 0.2
    int8 = (bundle / "model.int8.tflite").stat().st_size
    yield "int8 TFLite", f"{int8:,} bytes", "≤ 106,000 bytes", int8 <= 106_000
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 1e6
    yield "the bundle", f"{size:.2f} MB", "≤ 4 MB", size <= 4


def main() -> None:
    """Print each measurement beside its target."""
    grid = tables.table("The pipeline", ("what",), ("measured", "target", ""))
    with tempfile.TemporaryDirectory() as folder:
        for what, measured, target, holds in measurements(Path(folder)):
            grid.add_row(what, measured, target, "" if not target else "held" if holds else "MISSED")
    Console().print(grid)


if __name__ == "__main__":
    main()
