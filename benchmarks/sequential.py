"""The error rates of `verify --sequential` in simulated runs, and the images that it takes on real artifacts.

python benchmarks/sequential.py
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from mnistkit.cli import tables, terminal
from mnistkit.verify.sequential import ConfidenceSequence, Counts

BUNDLE = Path(__file__).parent.parent / "build" / "cnn" / "bundle"
RUNS, IMAGES, BATCH = 4000, 10_000, 100
MARGIN = 0.002
CANDIDATES = np.linspace(-0.1, 0.1, 21)
SEEDS = 9
# Rates of regressions and of fixes: three at the margin, where each PASS is an error, then better and worse ones.
RATES = ((0.002, 0.0), (0.004, 0.002), (0.012, 0.01), (0.0, 0.0), (0.0005, 0.0005), (0.002, 0.002), (0.012, 0.002))


def simulate(regressions: float, fixes: float, rng: np.random.Generator) -> tuple[str, int]:
    """The verdict of one run that looks after every batch, and the images that it took."""
    sequence = ConfidenceSequence(MARGIN, CANDIDATES)
    for seen in range(BATCH, IMAGES + 1, BATCH):
        regressed, fixed, _ = rng.multinomial(BATCH, [regressions, fixes, 1 - regressions - fixes])
        interval = sequence.add(Counts(BATCH, int(regressed), int(fixed)))
        if interval.low > -MARGIN or interval.high < -MARGIN:
            return ("PASS" if interval.low > -MARGIN else "FAIL"), seen
    return "INCONCLUSIVE", IMAGES


def images_of_real_artifacts(folder: Path) -> dict[str, list[int]]:
    """The images that each artifact of the CNN takes, with several random orders."""
    images: dict[str, list[int]] = {}
    for seed in range(SEEDS):
        path = folder / f"{seed}.json"
        command = [sys.executable, "-m", "mnistkit", "verify", BUNDLE, "--sequential", "--seed", seed]
        runtimes = ["--runtime", "litert", "--runtime", "onnxruntime", "--allow-inconclusive"]
        subprocess.run([*map(str, command), *runtimes, "--json", str(path)], check=False, capture_output=True)
        for row in json.loads(path.read_text())["rows"]:
            images.setdefault(row["artifact"], []).append(row["parity"]["images"])
    return images


def main() -> None:
    """Print both tables."""
    rng = np.random.default_rng(0)
    simulated = tables.table(
        f"{RUNS:,} simulated runs at a margin of 0.2 points, on up to {IMAGES:,} images",
        ("drop",),
        ("regressions", "fixes", "PASS", "FAIL", "INCONCLUSIVE", "median images", "target"),
        "drop, regressions and fixes: in percent of the images",
    )
    for regressions, fixes in RATES:
        runs = [simulate(regressions, fixes, rng) for _ in range(RUNS)]
        counts = Counter(verdict for verdict, _ in runs)
        shares = (f"{counts[verdict] / RUNS:.2%}" for verdict in ("PASS", "FAIL", "INCONCLUSIVE"))
        images = f"{statistics.median(count for _, count in runs):,.0f}"
        drop, target = 100 * (regressions - fixes), "PASS ≤ 2.5%" if regressions - fixes >= MARGIN else ""
        cells = f"{100 * regressions:.2f}", f"{100 * fixes:.2f}", *shares, images, target
        simulated.add_row(f"{drop:.2f}", *cells)
    with tempfile.TemporaryDirectory() as folder:
        real = images_of_real_artifacts(Path(folder))
    grid = tables.table(
        f"Images until the verdict of the CNN's artifacts, {SEEDS} random orders",
        ("artifact",),
        ("lowest", "median", "highest"),
    )
    for name, counted in real.items():
        grid.add_row(name, *(f"{value:,.0f}" for value in (min(counted), statistics.median(counted), max(counted))))
    terminal.show(simulated, grid)


if __name__ == "__main__":
    main()
