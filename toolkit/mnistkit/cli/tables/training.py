"""Recipes, networks and training runs, as text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from mnistkit.cli.tables import percent, table

if TYPE_CHECKING:
    from mnistkit.training.keras_models import LayerSummary
    from mnistkit.training.recipes import Recipe
    from mnistkit.training.train import TrainingRun


def run_line(run: TrainingRun) -> str:
    """What was trained, and what came of it."""
    published = f" (published: {run.published.measure} {percent(run.published.value)})" if run.published else ""
    return (
        f"{run.recipe}: {run.parameters:,} parameters, {run.macs:,} MACs, {run.epochs} epochs on {run.data} "
        f"in {run.training_seconds:.0f} s; test accuracy {percent(run.test_accuracy)}{published}"
    )


def recipes_table(recipes: Iterable[Recipe]) -> Table:
    """One line a recipe."""
    grid = table("", ("recipe", "what it is", "optimizer"), ("batch", "epochs", "published"))
    for recipe in recipes:
        published = percent(recipe.published.value) if recipe.published else ""
        figures = str(recipe.batch_size), str(recipe.epochs), published
        grid.add_row(recipe.name, recipe.summary, recipe.optimizer.name, *figures)
    return grid


def recipe_text(recipe: Recipe) -> str:
    """All that a recipe says but its layers."""
    lines = [
        f"{recipe.name}: {recipe.summary}",
        f"source: {recipe.source}",
        f"training: {recipe.optimizer}, batches of {recipe.batch_size}, {recipe.epochs} epochs",
        f"held out: {recipe.validation}",
    ]
    if recipe.augmentation:
        moved = recipe.augmentation
        lines.append(
            f"augmentation: turned by ±{moved.rotation:g}°, shifted by ±{moved.shift:g} pixels, "
            f"zoomed by e^±{moved.zoom:g}, sheared by ±{moved.shear:g}"
        )
    if recipe.published:
        lines.append(f"published: {recipe.published.measure} {percent(recipe.published.value)}")
    return "\n".join(lines)


def network_table(layers: Sequence[LayerSummary]) -> Table:
    """One line a layer, and their sum."""
    grid = table("", ("layer", "kind", "output"), ("parameters", "MACs"))
    for row in layers:
        grid.add_row(row.name, row.kind, "×".join(map(str, row.output)), f"{row.parameters:,}", f"{row.macs:,}")
    grid.add_section()
    grid.add_row("all", "", "", f"{sum(row.parameters for row in layers):,}", f"{sum(row.macs for row in layers):,}")
    return grid
