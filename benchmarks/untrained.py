"""Untrained networks for benchmarks: latency does not depend on the values of the weights."""

from pathlib import Path

from mnistkit.bundle import Bundle
from mnistkit.cli import terminal
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel
from mnistkit.training.model import build_model
from mnistkit.training.recipes import RECIPES
from mnistkit_export.exporter import export
from mnistkit_export.plan import ExportOptions
from mnistkit_export.preprocessing import PreprocessingOptions


def network(recipe: str, data: Dataset) -> KerasModel:
    """The untrained network of a recipe for a data set."""
    keras_models.import_keras().utils.set_random_seed(1)
    return build_model(RECIPES[recipe], data.image_shape, data.classes)


def bundle(recipe: str, data: Dataset, folder: Path) -> Bundle:
    """The bundle of the untrained network of a recipe, exported to `folder`/RECIPE."""
    model = save(recipe, data, folder / f"{recipe}.keras")
    options = ExportOptions(preprocessing=PreprocessingOptions("raw"), accept_accuracy=True)
    return export(model, data, folder / recipe, options, terminal.Terminal())


def save(recipe: str, data: Dataset, path: Path) -> Path:
    """Save the untrained network of a recipe; return its path."""
    keras_models.save(network(recipe, data), path)
    return path
