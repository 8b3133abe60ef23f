"""What each setting of the runtimes is worth: one changed at a time, beside what mnistkit uses, in turn, as ratios.

    python benchmarks/settings.py

The settings themselves, with the reason for each, stand in toolkit/mnistkit/runtimes/tflite.py and onnx.py.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import untrained
from mnistkit.cli import tables, terminal
from mnistkit.core.native_output import suppress_output
from mnistkit.data import mnist
from mnistkit.runtimes import RUNTIMES

ROUNDS, ROUND_SECONDS = 40, 0.05
NETWORKS = "float32", "int8"

Call = Callable[[], object]


def ours(path: Path, image: NDArray[np.uint8], runtime: str) -> Call:
    """As mnistkit opens it."""
    session = RUNTIMES[runtime].open(path)
    session.load(image)
    return session.run


def litert(path: Path, image: NDArray[np.uint8], threads: int = 1, resolver: str = "AUTO") -> Call:
    """An interpreter with these settings."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with suppress_output():
        kind = getattr(OpResolverType, resolver)
        interpreter = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    interpreter.set_tensor(tensor["index"], image.astype(tensor["dtype"]))
    call: Call = interpreter.invoke
    return call


def onnxruntime(
    path: Path, image: NDArray[np.uint8], level: str = "ORT_ENABLE_ALL", threads: int = 1, **entries: str
) -> Call:
    """A session with these settings, its arrays passed at each call."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    with suppress_output():
        session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: image.astype(np.float32)}
    return lambda: session.run(None, given)


VARIANTS: dict[str, dict[str, Callable[[Path, NDArray[np.uint8]], Call]]] = {
    "litert": {
        "ours": lambda path, image: ours(path, image, "litert"),
        "without the XNNPACK delegate": lambda path, image: litert(
            path, image, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        ),
        "two threads": lambda path, image: litert(path, image, threads=2),
    },
    "onnxruntime": {
        "ours": lambda path, image: ours(path, image, "onnxruntime"),
        "without IO binding": onnxruntime,
        "the same, graph level extended": lambda path, image: onnxruntime(path, image, "ORT_ENABLE_EXTENDED"),
        "the same, graph level basic": lambda path, image: onnxruntime(path, image, "ORT_ENABLE_BASIC"),
        "the same, two threads": lambda path, image: onnxruntime(path, image, threads=2),
    },
}


def medians(calls: dict[str, Call]) -> dict[str, float]:
    """The p50 of each in microseconds, measured in rounds in turn."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(ROUNDS + 1):
        for name, call in calls.items():
            end = time.perf_counter() + ROUND_SECONDS
            while time.perf_counter() < end:
                started = time.perf_counter_ns()
                call()
                if turn:  # the first round warms up
                    times[name].append(time.perf_counter_ns() - started)
    return {name: statistics.median(found) / 1000 for name, found in times.items()}


def main() -> None:
    """Print the ratios."""
    data = mnist.load()
    grid = tables.table("Settings of the runtimes, one image", ("runtime", "setting"), NETWORKS)
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", data, Path(folder))
        progress = terminal.Terminal()
        for runtime, variants in VARIANTS.items():
            suffix, found = RUNTIMES[runtime].format, []
            for network in NETWORKS:
                path = bundle.path / f"model.{network}.{suffix}"
                with progress.task(f"{path.name} on {runtime}"):
                    found.append(medians({name: make(path, data.x_test[:1]) for name, make in variants.items()}))
            for name in variants:
                grid.add_row(
                    runtime, name, *(f"{each[name]:.1f} µs  {each[name] / each['ours']:.2f}" for each in found)
                )
    Console().print(grid)


if __name__ == "__main__":
    main()
