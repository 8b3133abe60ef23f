"""Trains, exports and verifies recipes, seed by seed, and records what came out in docs/records/recipes/.

    python tools/record_recipes.py               all recipes: three seeds, five for our own
    python tools/record_recipes.py cnn mlp-512   these alone

A run that is recorded already is left as it is; remove its file to have it made again. `python tools/docs.py`
then writes docs/recipes.md from the records.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mnistkit.bundle import open_bundle
from mnistkit.core import records
from mnistkit.training.recipes import RECIPES, Recipe, find
from mnistkit.training.train import TrainingRun
from mnistkit.verify.report import VerifyReport
from recipe_records import RECORDS, RecipeRecord

ARTIFACT = "model.int8.tflite"


def wanted(names: list[str]) -> Iterator[tuple[Recipe, int, Path]]:
    """Each recipe and seed that is not recorded yet, and where its record goes."""
    for recipe in map(find, names or RECIPES):
        for seed in range(1, (3 if recipe.published else 5) + 1):
            path = RECORDS / f"{recipe.name}-{seed}.json"
            if not path.exists():
                yield recipe, seed, path


def mnistkit(*arguments: object) -> None:
    """Run a command line in a process of its own."""
    subprocess.run([sys.executable, "-m", "mnistkit", *map(str, arguments)], check=True)


def record(recipe: Recipe, seed: int, folder: Path) -> RecipeRecord:
    """Train, export and verify in `folder`."""
    mnistkit("train", "--recipe", recipe.name, "--seed", seed, "--out", folder)
    mnistkit("export", folder / "model.keras")
    mnistkit("verify", folder / "bundle", "--runtime", "litert", "--margin", 100, "--json", folder / "verify.json")
    report = records.read(folder / "verify.json", VerifyReport, "")
    (accuracy,) = (row.parity.accuracy for row in report.rows if row.artifact == ARTIFACT)
    (size,) = (
        artifact.bytes for artifact in open_bundle(folder / "bundle").manifest.artifacts if artifact.file == ARTIFACT
    )
    return RecipeRecord(records.read(folder / "run.json", TrainingRun, ""), accuracy, size)


def main() -> None:
    """Make every record that is wanted, one after the other: side by side they would spoil each other's seconds."""
    for recipe, seed, path in wanted(sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            records.write(path, record(recipe, seed, Path(folder)))


if __name__ == "__main__":
    main()
