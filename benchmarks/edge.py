"""How fast `edge` is beside `cnn`: the same formats and quantizations of both, measured side by side, as ratios.

    python benchmarks/edge.py

Latency does not depend on what the weights are, so the networks are exported as they are built, untrained.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from rich.console import Console

from mnistkit import console, keras_models, networks, render
from mnistkit.bundle import Bundle
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.recipes import RECIPES
from mnistkit.runtimes import pair
from mnistkit_bench.runner import Job, measure
from mnistkit_export.exporter import export

SECONDS = 5.0
TARGETS = {("model.int8.tflite", "litert"): "≤ 0.30"}


def untrained(name: str, data: Dataset, folder: Path) -> Bundle:
    """The recipe's network as a bundle."""
    keras_models.import_keras().utils.set_random_seed(1)
    model = folder / f"{name}.keras"
    keras_models.save(networks.build(RECIPES[name], data.image_shape, data.classes), model)
    return export(model, data, folder / name, progress=console.Terminal())


def jobs(bundle: Bundle) -> list[Job]:
    """Every artifact on every runtime for it."""
    test_set = bundle.file(bundle.manifest.test_set)
    return [Job(bundle.file(artifact), runtime, test_set) for artifact, runtime in pair(bundle.manifest.artifacts, ())]


def main() -> None:
    """Print the ratios."""
    data = mnist.load()
    with tempfile.TemporaryDirectory() as folder:
        cnn, edge = (jobs(untrained(name, data, Path(folder))) for name in ("cnn", "edge"))
        measured = measure([*cnn, *edge], SECONDS, console.Terminal())
    medians = [statistics.median(worker.times) / 1000 for worker in measured]

    grid = render.table("Latency of one image, p50", ("artifact", "runtime"), ("cnn µs", "edge µs", "ratio", "target"))
    for job, one, other in zip(cnn, medians, medians[len(cnn) :], strict=False):
        key = job.artifact.name, job.runtime.name
        grid.add_row(*key, f"{one:.1f}", f"{other:.1f}", f"{other / one:.3f}", TARGETS.get(key, ""))
    Console().print(grid)


if __name__ == "__main__":
    main()
