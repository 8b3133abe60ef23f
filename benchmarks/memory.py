"""Measure the time to read a folder of pictures, and the peak memory of `export` and `verify` on large test sets.

python benchmarks/memory.py
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import untrained
from mnistkit.cli import tables, terminal
from mnistkit.data import dataset, mnist
from mnistkit.data.dataset import Dataset
from verify import peak_rss_megabytes

READ_PICTURES, MAX_READ_SECONDS = 60_000, 30
TEST_IMAGES = 20_000, 200_000
TRAINING_IMAGES = 1000


@dataclass(frozen=True)
class MemoryUse:
    """The size of a bundle and the peak resident memory of commands, in megabytes."""

    bundle: float
    export: float
    verify: float  # of the command and its workers


def save_pictures(folder: Path, data: Dataset, count: int, seed: int = 0) -> None:
    """Save `count` PNG files of digits with noise in the folders of their classes."""
    from PIL import Image

    def save(number: int) -> None:
        source = number % len(data.x_train)
        noise = np.random.default_rng((seed, number)).integers(0, 8, (28, 28), np.uint8)
        picture = Image.fromarray(data.x_train[source : source + 1][0, ..., 0] // 2 + noise)
        picture.save(folder / str(data.y_train[source]) / f"{number:07}.png")

    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(save, range(count), chunksize=500))


def peak_megabytes(*arguments: object) -> float:
    """The peak resident memory of a command line with its workers."""
    process = subprocess.Popen([sys.executable, "-m", "mnistkit", *map(str, arguments)], stdout=subprocess.DEVNULL)
    peak = peak_rss_megabytes(process)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{arguments} failed")
    return peak


def measure(data: Dataset, count: int, folder: Path) -> MemoryUse:
    """Export and verify a model with a test set of `count` pictures."""
    save_pictures(folder / "data" / "test", data, count)
    save_pictures(folder / "data" / "train", data, TRAINING_IMAGES, seed=1)
    untrained.save("cnn", data, folder / "model.keras")
    quick = "--format", "tflite", "--quantize", "float32", "--quantize", "int8", "--preprocessing", "raw"
    paths = "--data", folder / "data", "--out", folder / "bundle"
    export = peak_megabytes("export", folder / "model.keras", *paths, *quick, "--accept-accuracy")
    verify = peak_megabytes("verify", folder / "bundle", "--runtime", "litert", "--margin", 50)
    size = sum(path.stat().st_size for path in (folder / "bundle").iterdir())
    return MemoryUse(size / 1e6, export, verify)


def main() -> None:
    """Measure and print."""
    data = mnist.load()
    with tempfile.TemporaryDirectory() as folder:
        save_pictures(Path(folder) / "test", data, READ_PICTURES)
        started = time.perf_counter()
        dataset.load(Path(folder))
        seconds = time.perf_counter() - started
    grid = tables.table("Folder of pictures", ("measurement",), ("measured", "target"))
    grid.add_row(f"reading {READ_PICTURES:,} PNG files", f"{seconds:.1f} s", f"≤ {MAX_READ_SECONDS} s")
    for count in TEST_IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            use = measure(data, count, Path(folder))
        grid.add_row(f"bundle with {count:,} test images", f"{use.bundle:.0f} MB", "")
        grid.add_row(f"peak RSS of export with {count:,} test images", f"{use.export:.0f} MB", "")
        grid.add_row(f"peak RSS of verify with {count:,} test images", f"{use.verify:.0f} MB", "")
    terminal.show(grid)


if __name__ == "__main__":
    main()
