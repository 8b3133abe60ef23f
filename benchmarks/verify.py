"""How fast `verify` goes through the test set, beside the fastest loop that was found by hand, in one run.

python benchmarks/verify.py
"""

from __future__ import annotations

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
from rich.console import Console

import untrained
from mnistkit.bundle import Bundle
from mnistkit.cli import tables
from mnistkit.data import mnist
from mnistkit.runtimes import RUNTIMES
from mnistkit.runtimes.inference import BATCH
from mnistkit.runtimes.isolation import isolation

ROUNDS = 15
ARTIFACT = "model.int8.tflite"
RUNTIMES_OF_DEVICES = ("--runtime", "litert", "--runtime", "onnxruntime")


def by_hand(path: Path, images: NDArray[np.uint8], batch: int) -> float:
    """Seconds of a bare loop over interpreters that are open already, one a core, each on its share of the images."""
    from ai_edge_litert.interpreter import Interpreter

    def opened() -> Any:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [batch, *images.shape[1:]])
        interpreter.allocate_tensors()
        return interpreter

    def loop(interpreter: Any, share: NDArray[np.uint8]) -> list[Any]:
        ingoing, outgoing = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        answers = []
        for start in range(0, len(share) // batch * batch, batch):
            interpreter.set_tensor(ingoing, share[start : start + batch])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(outgoing))
        return answers

    interpreters = [opened() for _ in range(len(os.sched_getaffinity(0)))]
    with ThreadPoolExecutor(len(interpreters)) as pool:
        shares = np.array_split(images, len(interpreters))
        started = time.perf_counter()
        list(pool.map(loop, interpreters, shares))
        return time.perf_counter() - started


def interleaved(contenders: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median of each, measured in turn, so that drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, measure in contenders.items():
            seconds[name].append(measure())
    return {name: statistics.median(found) for name, found in seconds.items()}


def one_artifact(bundle: Bundle) -> dict[str, float]:
    """Ours, from opening the artifact to the last answer, and the loops by hand."""
    path, evaluation = bundle.path / ARTIFACT, bundle.evaluation_set()
    with isolation(evaluation.images, evaluation.reference.shape[1]) as isolated:

        def ours() -> float:
            return isolated.predict(RUNTIMES["litert"], path, BATCH, lambda amount: None)[1]

        hands = {f"by hand, batches of {n}": partial(by_hand, path, evaluation.images, n) for n in (16, 32)}
        return interleaved({"verify": ours, **hands})


def all_artifacts(bundle: Bundle) -> tuple[float, float]:
    """Seconds beyond imports, and the most megabytes resident of the command and its children together."""
    command = [sys.executable, "-m", "mnistkit", "verify", str(bundle.path), *RUNTIMES_OF_DEVICES]
    with (bundle.path.parent / "verify.json").open("w+") as report:
        process = subprocess.Popen([*command, "--json", "-"], stdout=report, stderr=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:
            most = max(most, resident_megabytes(process.pid))
            time.sleep(0.01)
        report.seek(0)
        return sum(row["seconds"] for row in json.load(report)["rows"]), most


def resident_megabytes(pid: int) -> float:
    """Of the process and its children now; what they share counts twice."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return 0.0
    own = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0) * 1024 / 1e6
    return own + sum(map(resident_megabytes, map(int, children)))


def main() -> None:
    """Print the figures beside their targets."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", mnist.load(), Path(folder))
        medians = one_artifact(bundle)
        seconds, megabytes = all_artifacts(bundle)
    ours, best = medians["verify"], min(found for name, found in medians.items() if name != "verify")
    grid = tables.table("10,000 images", ("what",), ("measured", "target"))
    for name, found in medians.items():
        grid.add_row(f"{ARTIFACT} on litert, {name}", f"{found:.3f} s", "≤ 0.20 s" if name == "verify" else "")
    grid.add_row("the ratio to the best by hand", f"{ours / best:.2f}", "≤ 1.6")
    grid.add_row("seven artifacts, beyond imports", f"{seconds:.2f} s", "≤ 3 s")
    grid.add_row("peak memory, command and children", f"{megabytes:.0f} MB", "≤ 300 MB")
    Console().print(grid)


if __name__ == "__main__":
    main()
