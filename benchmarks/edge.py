"""How fast `edge` is beside `cnn`: the same formats and quantizations of both, measured side by side, as ratios.

python benchmarks/edge.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

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
    """Every artifact on every runtime for it."""
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
        rows, _ = measure([*cnn, *edge], SamplingOptions(SECONDS), progress=terminal.Terminal())
    medians = [row.p50 for row in rows]

    grid = tables.table("Latency of one image, p50", ("artifact", "runtime"), ("cnn µs", "edge µs", "ratio", "target"))
    for job, one, other in zip(cnn, medians, medians[len(cnn) :], strict=False):
        key = job.artifact.name, job.runtime.name
        grid.add_row(*key, f"{one:.1f}", f"{other:.1f}", f"{other / one:.3f}", TARGETS.get(key, ""))
    Console().print(grid)


if __name__ == "__main__":
    main()
