"""Compare the latency of `edge` with that of `cnn`: the same formats and quantizations, measured in turn.

python benchmarks/edge.py
"""

import tempfile
from pathlib import Path

import untrained
from mnistkit.bundle import Bundle
from mnistkit.cli import tables, terminal
from mnistkit.data import mnist
from mnistkit.runtimes import match_runtimes
from mnistkit_bench.jobs import Job, SamplingOptions
from mnistkit_bench.runner import measure

SECONDS = 5.0
TARGETS = {("model.int8.tflite", "litert"): "≤ 0.30"}


def jobs(bundle: Bundle) -> list[Job]:
    """A job for each artifact on each runtime for its format."""
    test_set = bundle.file(bundle.manifest.test_set)
    return [
        Job(bundle.file(artifact), runtime, test_set)
        for artifact, runtime in match_runtimes(bundle.manifest.artifacts, for_devices=True)
    ]


def main() -> None:
    """Print the ratios."""
    data = mnist.load()
    with tempfile.TemporaryDirectory() as folder:
        cnn, edge = (jobs(untrained.bundle(name, data, Path(folder))) for name in ("cnn", "edge"))
        results, _ = measure([*cnn, *edge], SamplingOptions(SECONDS), progress=terminal.Terminal())
    medians = [result.median_latency() for result in results]

    grid = tables.table("Latency, p50", ("artifact", "runtime"), ("cnn µs", "edge µs", "edge / cnn", "target"))
    for job, cnn_p50, edge_p50 in zip(cnn, medians[: len(cnn)], medians[len(cnn) :], strict=True):
        key = job.artifact.name, job.runtime.name
        ratio = f"{edge_p50 / cnn_p50:.3f}"
        grid.add_row(*key, f"{cnn_p50:.1f}", f"{edge_p50:.1f}", ratio, TARGETS.get(key, ""))
    terminal.show(grid)


if __name__ == "__main__":
    main()
