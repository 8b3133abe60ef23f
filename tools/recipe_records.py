"""The recorded runs of the recipes, and the table that docs/recipes.md shows of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mnistkit.core import records
from mnistkit.training.recipes import RECIPES
from mnistkit.training.train import TrainingRun

RECORDS = Path(__file__).parent.parent / "docs" / "records" / "recipes"
SEARCH = RECORDS.parent / "search.jsonl"
HEAD = (
    "| recipe | seeds | published | measured | test accuracy | int8 TFLite | kB | parameters | MACs | seconds |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)
SEARCH_HEAD = (
    "| variant | validation accuracy | validation loss | MACs | epochs | seconds |",
    "|---|--:|--:|--:|--:|--:|",
)


@dataclass(frozen=True)
class RecipeRecord(records.Record):
    """One training of a recipe, and what its int8 TFLite artifact came to."""

    schema: ClassVar[str] = "recipe"
    version: ClassVar[int] = 1

    run: TrainingRun
    int8_accuracy: float
    int8_bytes: int


def search_table() -> str:
    """One line a run of the search, the best loss first, those of each recipe together."""
    runs = [json.loads(line) for line in SEARCH.read_text().splitlines()]
    runs.sort(key=lambda run: (run["recipe"]["name"], run["validation_loss"]))
    return "\n".join([*SEARCH_HEAD, *map(_search_line, runs), ""])


def _search_line(run: dict[str, Any]) -> str:
    figures = f"{run['validation_accuracy']:.4f}", f"{run['validation_loss']:.4f}", f"{run['macs']:,}"
    cells = f"`{run['variant']}`", *figures, str(run["recipe"]["epochs"]), f"{run['seconds']:.0f}"
    return f"| {' | '.join(cells)} |"


def of_recipe(name: str) -> list[RecipeRecord]:
    """The recipe's records, by seed."""
    found = [records.read(path, RecipeRecord, "") for path in RECORDS.glob("*.json")]
    return sorted((record for record in found if record.run.recipe == name), key=lambda record: record.run.seed)


def table() -> str:
    """One line a recipe: mean ± standard deviation over its seeds."""
    lines = (line for name in RECIPES for line in _lines(name, of_recipe(name)))
    return "\n".join([*HEAD, *lines, ""])


def _lines(name: str, found: list[RecipeRecord]) -> Iterator[str]:
    if not found:
        return
    run = found[0].run
    published = measured = ""
    if run.published:
        training = run.published.measure == "training accuracy"
        published = f"{run.published.measure} {run.published.value:.4f}"
        measured = spread(found, lambda record: record.run.training_accuracy if training else record.run.test_accuracy)
    cells = (
        f"`{name}`",
        str(len(found)),
        published,
        measured,
        spread(found, lambda record: record.run.test_accuracy),
        spread(found, lambda record: record.int8_accuracy),
        f"{max(record.int8_bytes for record in found) / 1000:.1f}",
        f"{run.parameters:,}",
        f"{run.macs:,}",
        f"{statistics.mean(record.run.training_seconds for record in found):.0f}",
    )
    yield f"| {' | '.join(cells)} |"


def spread(found: list[RecipeRecord], figure: Callable[[RecipeRecord], float]) -> str:
    """The mean of a figure, and its standard deviation from seed to seed."""
    values = [figure(record) for record in found]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"
