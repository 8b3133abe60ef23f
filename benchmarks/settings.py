"""Compare the latency of other runtime settings with that of mnistkit's settings, measured in turn.

    python benchmarks/settings.py

The settings and the reasons for them are in toolkit/mnistkit/runtimes/tflite.py and onnx.py.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import untrained
from mnistkit.cli import tables, terminal
from mnistkit.core.native_output import suppress_output
from mnistkit.data import mnist
from mnistkit.runtimes import RUNTIMES

ROUNDS, ROUND_SECONDS = 40, 0.05
QUANTIZATIONS = "float32", "int8"

Call = Callable[[], object]


def mnistkit_session(path: Path, image: NDArray[np.uint8], runtime: str) -> Call:
    """The call of a session with mnistkit's settings."""
    session = RUNTIMES[runtime].open(path)
    session.load(image)
    return session.run


def litert(path: Path, image: NDArray[np.uint8], threads: int = 1, resolver: str = "AUTO") -> Call:
    """The call of an interpreter with these settings."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with suppress_output():
        resolver_type = getattr(OpResolverType, resolver)
        interpreter = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=resolver_type)
        interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    interpreter.set_tensor(tensor["index"], image.astype(tensor["dtype"]))
    call: Call = interpreter.invoke
    return call


def onnxruntime(
    path: Path, image: NDArray[np.uint8], level: str = "ORT_ENABLE_ALL", threads: int = 1, **entries: str
) -> Call:
    """The call of a session with these settings, without IO binding."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    with suppress_output():
        session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: image.astype(np.float32)}
    return lambda: session.run(None, inputs)


VARIANTS: dict[str, dict[str, Callable[[Path, NDArray[np.uint8]], Call]]] = {
    "litert": {
        "mnistkit": lambda path, image: mnistkit_session(path, image, "litert"),
        "no XNNPACK delegate": lambda path, image: litert(path, image, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        "two threads": lambda path, image: litert(path, image, threads=2),
    },
    "onnxruntime": {
        "mnistkit": lambda path, image: mnistkit_session(path, image, "onnxruntime"),
        "no IO binding": onnxruntime,
        "no IO binding, ORT_ENABLE_EXTENDED": lambda path, image: onnxruntime(path, image, "ORT_ENABLE_EXTENDED"),
        "no IO binding, ORT_ENABLE_BASIC": lambda path, image: onnxruntime(path, image, "ORT_ENABLE_BASIC"),
        "no IO binding, two threads": lambda path, image: onnxruntime(path, image, threads=2),
    },
}


def medians(calls: dict[str, Call]) -> dict[str, float]:
    """The p50 of each call in microseconds, measured in rounds in turn."""
    nanoseconds: dict[str, list[int]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            end = time.perf_counter() + ROUND_SECONDS
            while time.perf_counter() < end:
                started = time.perf_counter_ns()
                call()
                if number > 0:  # the first round warms up
                    nanoseconds[name].append(time.perf_counter_ns() - started)
    return {name: statistics.median(samples) / 1000 for name, samples in nanoseconds.items()}


def main() -> None:
    """Print the p50 with each setting, and its ratio to the p50 with mnistkit's settings."""
    data = mnist.load()
    grid = tables.table("Latency of one image, p50 and ratio", ("runtime", "settings"), QUANTIZATIONS)
    with tempfile.TemporaryDirectory() as folder:
        bundle = untrained.bundle("cnn", data, Path(folder))
        progress = terminal.Terminal()
        for runtime, variants in VARIANTS.items():
            latencies = []
            for quantization in QUANTIZATIONS:
                path = bundle.path / f"model.{quantization}.{RUNTIMES[runtime].format}"
                with progress.task(f"{path.name} on {runtime}"):
                    calls = {name: open_artifact(path, data.x_test[:1]) for name, open_artifact in variants.items()}
                    latencies.append(medians(calls))
            for name in variants:
                cells = (f"{p50[name]:.1f} µs  {p50[name] / p50['mnistkit']:.2f}" for p50 in latencies)
                grid.add_row(runtime, name, *cells)
    terminal.show(grid)


if __name__ == "__main__":
    main()
