"""Train, export and verify recipes with several seeds, and record the results in docs/records/recipes/.

    python tools/record_recipes.py               all recipes: three seeds if published, five if mnistkit's own
    python tools/record_recipes.py cnn mlp-512   the named recipes only

Existing records are kept; remove a file to record its run again. `python tools/docs.py` then updates docs/recipes.md.
"""

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


def missing_records(names: list[str]) -> Iterator[tuple[Recipe, int, Path]]:
    """Each recipe and seed that is not recorded yet, and the path of its record."""
    for recipe in map(find, names or RECIPES):
        seeds = 3 if recipe.published else 5
        for seed in range(1, seeds + 1):
            path = RECORDS / f"{recipe.name}-{seed}.json"
            if not path.exists():
                yield recipe, seed, path


def mnistkit(*arguments: object) -> None:
    """Run a command line in its own process."""
    subprocess.run([sys.executable, "-m", "mnistkit", *map(str, arguments)], check=True)


def record(recipe: Recipe, seed: int, folder: Path) -> RecipeRecord:
    """Train, export and verify a recipe in `folder`."""
    mnistkit("train", "--recipe", recipe.name, "--seed", seed, "--out", folder)
    mnistkit("export", folder / "model.keras")
    # With a margin of 100 points the verdict is PASS: the accuracy is recorded, not judged.
    mnistkit("verify", folder / "bundle", "--runtime", "litert", "--margin", 100, "--json", folder / "verify.json")
    report = records.read(folder / "verify.json", VerifyReport, "")
    (accuracy,) = (row.parity.accuracy for row in report.rows if row.artifact == ARTIFACT)
    (size,) = (
        artifact.bytes for artifact in open_bundle(folder / "bundle").manifest.artifacts if artifact.file == ARTIFACT
    )
    return RecipeRecord(records.read(folder / "run.json", TrainingRun, ""), accuracy, size)


def main() -> None:
    """Make the missing records one after the other: parallel runs would falsify the training times."""
    for recipe, seed, path in missing_records(sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            records.write(path, record(recipe, seed, Path(folder)))


if __name__ == "__main__":
    main()
