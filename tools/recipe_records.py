"""The recorded runs of recipes and of the recipe search, and their tables in docs/recipes.md."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import markdown_table
from mnistkit.core import records
from mnistkit.training.recipes import RECIPES
from mnistkit.training.train import TrainingRun

RECORDS = Path(__file__).parent.parent / "docs" / "records" / "recipes"
SEARCH = RECORDS.parent / "search.jsonl"
COLUMNS = (
    "recipe",
    "seeds",
    "published",
    "reproduced",
    "test accuracy",
    "int8 TFLite accuracy",
    "int8 TFLite kB",
    "parameters",
    "MACs",
    "training time (s)",
)
SEARCH_COLUMNS = ("variant", "validation accuracy", "validation loss", "MACs", "epochs", "training time (s)")


@dataclass(frozen=True)
class RecipeRecord(records.Record, schema="recipe", version=1):
    """A training run of a recipe, and the accuracy and the size of its int8 TFLite artifact."""

    run: TrainingRun
    int8_accuracy: float
    int8_bytes: int


def search_table() -> str:
    """A row for each run of the search, by recipe and validation loss."""
    runs = [json.loads(line) for line in SEARCH.read_text().splitlines()]
    runs.sort(key=lambda run: (run["recipe"]["name"], run["validation_loss"]))
    return markdown_table.table(SEARCH_COLUMNS, map(_search_row, runs))


def _search_row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"`{run['variant']}`",
        f"{run['validation_accuracy']:.4f}",
        f"{run['validation_loss']:.4f}",
        f"{run['macs']:,}",
        str(run["recipe"]["epochs"]),
        f"{run['seconds']:.0f}",
    )


def load_records(recipe: str) -> list[RecipeRecord]:
    """The records of a recipe, by seed."""
    all_records = [records.read(path, RecipeRecord, "") for path in RECORDS.glob("*.json")]
    return sorted((record for record in all_records if record.run.recipe == recipe), key=lambda record: record.run.seed)


def table() -> str:
    """A row for each recorded recipe: mean ± standard deviation over its seeds."""
    records_by_recipe = {name: load_records(name) for name in RECIPES}
    return markdown_table.table(
        COLUMNS, (_recipe_row(name, recorded) for name, recorded in records_by_recipe.items() if recorded)
    )


def _recipe_row(name: str, recorded: list[RecipeRecord]) -> tuple[str, ...]:
    run = recorded[0].run
    test_accuracy = mean_and_deviation(recorded, lambda record: record.run.test_accuracy)
    published = reproduced = ""
    if run.published:
        published = f"{run.published.metric} {run.published.value:.4f}"
        if run.published.metric == "test accuracy":
            reproduced = test_accuracy
        else:
            reproduced = mean_and_deviation(recorded, lambda record: record.run.training_accuracy)
    return (
        f"`{name}`",
        str(len(recorded)),
        published,
        reproduced,
        test_accuracy,
        mean_and_deviation(recorded, lambda record: record.int8_accuracy),
        f"{max(record.int8_bytes for record in recorded) / 1000:.1f}",
        f"{run.parameters:,}",
        f"{run.macs:,}",
        f"{statistics.mean(record.run.training_seconds for record in recorded):.0f}",
    )


def mean_and_deviation(recorded: list[RecipeRecord], value: Callable[[RecipeRecord], float]) -> str:
    """The mean of a value over records, ± its sample standard deviation."""
    values = [value(record) for record in recorded]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"
