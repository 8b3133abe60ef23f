"""Measure the pipeline against its targets: start-up, train, export, verify and bench, each as a command line.

    python benchmarks/pipeline.py

The targets are for a machine with two cores.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mnistkit.cli import tables, terminal

DEVICE_RUNTIMES = ("--runtime", "litert", "--runtime", "onnxruntime")
STARTS = 21  # runs of `mnistkit --help`; the median is reported


def run(*arguments: object) -> float:
    """The wall time of one command line, in seconds."""
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
    code = "import sys; from mnistkit.cli import main; main.run(['--help']); print(*sys.modules, file=sys.stderr)"
    completed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in completed.stderr.split()}


def measurements(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """For each measurement: its name, the result, the target, and whether the target is met."""
    start = statistics.median(run("--help") for _ in range(STARTS))
    yield "mnistkit --help, median", f"{1000 * start:.0f} ms", "≤ 150 ms", start <= 0.150
    heavy = imported_by_help() & {"numpy", "tensorflow", "keras", "rich"}
    yield "heavy imports of mnistkit --help", ", ".join(sorted(heavy)) or "none", "none", not heavy

    model, bundle, report = folder / "model.keras", folder / "bundle", folder / "verify.json"
    steps = {
        "train": run("train", "--out", folder),
        "export": run("export", model),
        "verify": run("verify", bundle, *DEVICE_RUNTIMES, "--json", report),
        "bench": run("bench", bundle),
    }
    trained = json.loads((folder / "run.json").read_text())
    yield "train, training only", f"{trained['training_seconds']:.0f} s", "≤ 75 s", trained["training_seconds"] <= 75
    yield "test accuracy", f"{trained['test_accuracy']:.4f}", "≥ 0.9900", trained["test_accuracy"] >= 0.99
    targets = {"export": 25}
    for name, seconds in steps.items():
        target = targets.get(name)
        yield name, f"{seconds:.1f} s", f"≤ {target} s" if target else "", not target or seconds <= target
    total = sum(steps.values())
    yield "train, export, verify and bench", f"{total:.0f} s", "≤ 180 s", total <= 180

    rows = json.loads(report.read_text())["rows"]
    verified = sum(row["seconds"] for row in rows)
    yield "verify, seven artifacts, without imports", f"{verified:.2f} s", "≤ 3 s", verified <= 3
    drop = max(0.0, *(-row["parity"]["difference"] for row in rows if "int8" in row["artifact"]))
    yield "largest accuracy drop of int8", f"{drop:.2f} points", "≤ 0.20 points", drop <= 0.2
    int8 = (bundle / "model.int8.tflite").stat().st_size
    yield "size of int8 TFLite", f"{int8:,} bytes", "≤ 106,000 bytes", int8 <= 106_000
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 1e6
    yield "size of the bundle", f"{size:.2f} MB", "≤ 4 MB", size <= 4


def main() -> None:
    """Print the measurements with their targets."""
    grid = tables.table("Pipeline", ("measurement",), ("result", "target", "status"))
    with tempfile.TemporaryDirectory() as folder:
        for name, result, target, is_met in measurements(Path(folder)):
            status = "met" if is_met else "MISSED"
            grid.add_row(name, result, target, status if target else "")
    terminal.show(grid)


if __name__ == "__main__":
    main()
