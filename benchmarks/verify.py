"""Throughput of `verify` on the test set, compared in one run with the fastest hand-written loop.

python benchmarks/verify.py
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import untrained
from mnistkit.bundle import Bundle
from mnistkit.cli import tables, terminal
from mnistkit.data import mnist
from mnistkit.runtimes import RUNTIMES
from mnistkit.runtimes.inference import BATCH
from mnistkit.runtimes.isolation import isolation

ROUNDS = 15
ARTIFACT = "model.int8.tflite"
DEVICE_RUNTIMES = ("--runtime", "litert", "--runtime", "onnxruntime")


def time_hand_written(path: Path, images: NDArray[np.uint8], batch: int) -> float:
    """Seconds of a loop over the images, shared among opened interpreters, one for each core."""
    from ai_edge_litert.interpreter import Interpreter

    def open_interpreter() -> Any:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [batch, *images.shape[1:]])
        interpreter.allocate_tensors()
        return interpreter

    def loop(interpreter: Any, share: NDArray[np.uint8]) -> list[Any]:
        tensor_in = interpreter.get_input_details()[0]["index"]
        tensor_out = interpreter.get_output_details()[0]["index"]
        outputs = []
        for start in range(0, len(share) // batch * batch, batch):
            interpreter.set_tensor(tensor_in, share[start : start + batch])
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(tensor_out))
        return outputs

    interpreters = [open_interpreter() for _ in range(len(os.sched_getaffinity(0)))]
    with ThreadPoolExecutor(len(interpreters)) as pool:
        shares = np.array_split(images, len(interpreters))
        started = time.perf_counter()
        list(pool.map(loop, interpreters, shares))
        return time.perf_counter() - started


def interleave(measurements: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median of each measurement, repeated in turn, so that drift affects all equally."""
    seconds: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(ROUNDS):
        for name, measure in measurements.items():
            seconds[name].append(measure())
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_artifact(bundle: Bundle) -> dict[str, float]:
    """Seconds of `verify`, including opening the artifact, and of the hand-written loops."""
    path, evaluation = bundle.path / ARTIFACT, bundle.evaluation_set()
    images = evaluation.images[:]
    with isolation(evaluation.images, evaluation.reference.shape[1]) as isolated:

        def time_verify() -> float:
            return isolated.predict(RUNTIMES["litert"], path, BATCH, lambda amount: None)[1]

        loops = {f"hand-written, batch {n}": partial(time_hand_written, path, images, n) for n in (16, 32)}
        return interleave({"verify": time_verify, **loops})


def measure_command(bundle: Bundle) -> tuple[float, float]:
    """Seconds of `mnistkit verify` without imports, and the peak RSS of the command with its workers, in megabytes."""
    command = [sys.executable, "-m", "mnistkit", "verify", str(bundle.path), *DEVICE_RUNTIMES]
    with (bundle.path.parent / "verify.json").open("w+") as report:
        process = subprocess.Popen([*command, "--json", "-"], stdout=report, stderr=subprocess.DEVNULL)
        peak = peak_rss_megabytes(process)
        report.seek(0)
        return sum(row["seconds"] for row in json.load(report)["rows"]), peak


def peak_rss_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process to end; the peak RSS of it and its children."""
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, rss_megabytes(process.pid))
        time.sleep(0.01)
    return peak


def rss_megabytes(pid: int) -> float:
    """Current RSS of a process and its children; shared pages count more than once."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # the process has exited
        return 0.0
    kilobytes = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return kilobytes * 1024 / 1e6 + sum(rss_megabytes(int(child)) for child in children)


def main() -> None:
    """Print the measurements and their targets."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        medians = measure_artifact(bundle)
        seconds, megabytes = measure_command(bundle)
    verify, fastest = medians["verify"], min(value for name, value in medians.items() if name != "verify")
    grid = tables.table("10,000 images", ("measurement",), ("measured", "target"))
    for name, value in medians.items():
        grid.add_row(f"{ARTIFACT} on litert, {name}", f"{value:.3f} s", "≤ 0.20 s" if name == "verify" else "")
    grid.add_row("verify / fastest hand-written loop", f"{verify / fastest:.2f}", "≤ 1.6")
    grid.add_row("seven artifacts, without imports", f"{seconds:.2f} s", "≤ 3 s")
    grid.add_row("peak RSS, command and workers", f"{megabytes:.0f} MB", "≤ 300 MB")
    terminal.show(grid)


if __name__ == "__main__":
    main()
