"""Recipes, networks and training runs as text and tables."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from mnistkit.cli.tables import percent, table
from mnistkit.training.keras_models import LayerSummary
from mnistkit.training.recipes import Recipe
from mnistkit.training.train import TrainingRun

_VALIDATION = {
    "none": "no images held out",
    "first": "first sixth of the training images held out",
    "last": "last sixth of the training images held out",
}


def run_line(run: TrainingRun) -> str:
    """A training run and its test accuracy on one line."""
    published = f" (published: {run.published.metric} {percent(run.published.value)})" if run.published else ""
    return (
        f"{run.recipe}: {run.parameters:,} parameters, {run.macs:,} MACs, {run.epochs} epochs on {run.data} "
        f"in {run.training_seconds:.0f} s; test accuracy {percent(run.test_accuracy)}{published}"
    )


def recipes_table(recipes: Iterable[Recipe]) -> Table:
    """A row for each recipe."""
    grid = table("", ("recipe", "summary", "optimizer"), ("batch size", "epochs", "published accuracy"))
    for recipe in recipes:
        published = percent(recipe.published.value) if recipe.published else ""
        numbers = str(recipe.batch_size), str(recipe.epochs), published
        grid.add_row(recipe.name, recipe.summary, recipe.optimizer.name, *numbers)
    return grid


def recipe_text(recipe: Recipe) -> str:
    """Everything in a recipe except its layers."""
    lines = [
        f"{recipe.name}: {recipe.summary}",
        f"source: {recipe.source}",
        f"training: {recipe.optimizer}, batch size {recipe.batch_size}, {recipe.epochs} epochs",
        f"validation: {_VALIDATION[recipe.validation]}",
    ]
    if recipe.augmentation:
        limits = recipe.augmentation
        lines.append(
            f"augmentation: rotation ±{limits.rotation:g}°, shift ±{limits.shift:g} pixels, "
            f"zoom e^±{limits.zoom:g}, shear ±{limits.shear:g}"
        )
    if recipe.published:
        lines.append(f"published: {recipe.published.metric} {percent(recipe.published.value)}")
    return "\n".join(lines)


def network_table(layers: Sequence[LayerSummary]) -> Table:
    """A row for each layer, and the totals."""
    grid = table("", ("layer", "type", "output shape"), ("parameters", "MACs"))
    for layer in layers:
        shape = "×".join(map(str, layer.output_shape))
        grid.add_row(layer.name, layer.kind, shape, f"{layer.parameters:,}", f"{layer.macs:,}")
    grid.add_section()
    parameters, macs = sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)
    grid.add_row("total", "", "", f"{parameters:,}", f"{macs:,}")
    return grid
