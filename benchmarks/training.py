"""Compare the training time per epoch of mnistkit with that of plain Keras.

    python benchmarks/training.py

The configurations run one after the other, in several rounds. The first epoch of each run is excluded, because
TensorFlow traces the graph in it.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from mnistkit.cli import tables, terminal
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit.training.model import build_model
from mnistkit.training.recipes import RECIPES, Recipe
from mnistkit.training.train import History, train

ROUNDS, EPOCHS = 3, 3
CNN, TUNED, EDGE = RECIPES["cnn"], RECIPES["cnn-tuned"], RECIPES["edge"]


def train_with_mnistkit(recipe: Recipe, data: Dataset) -> list[float]:
    """Train the recipe with mnistkit; seconds of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        train(replace(recipe, epochs=EPOCHS), data, 1, Path(folder))
        return list(records.read(Path(folder) / "history.json", History, "").seconds)


def train_with_keras(recipe: Recipe, data: Dataset) -> list[float]:
    """Train the recipe's network with `model.fit` alone; seconds of each epoch."""
    keras = keras_models.import_keras()
    model = build_model(recipe, data.image_shape, data.classes)
    model.compile(recipe.optimizer.name, "sparse_categorical_crossentropy", metrics=["accuracy"])
    times = [time.perf_counter()]
    timer = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()))
    model.fit(data.x_train, data.y_train, recipe.batch_size, EPOCHS, verbose=0, callbacks=[timer])
    return [end - start for start, end in itertools.pairwise(times)]


CONFIGURATIONS: dict[str, tuple[Callable[[Recipe, Dataset], list[float]], Recipe]] = {
    "cnn, plain model.fit": (train_with_keras, CNN),
    "cnn": (train_with_mnistkit, CNN),
    "cnn-tuned, not augmented": (train_with_mnistkit, replace(TUNED, augmentation=None)),
    "cnn-tuned": (train_with_mnistkit, TUNED),
    "edge": (train_with_mnistkit, EDGE),
}
# Configuration, baseline, and target for the ratio of their times.
COMPARISONS = (("cnn", "cnn, plain model.fit", "≤ 1.00"), ("cnn-tuned", "cnn-tuned, not augmented", "≤ 1.25"))


def measure(name: str) -> list[float]:
    """Seconds of each epoch of a configuration."""
    train_recipe, recipe = CONFIGURATIONS[name]
    return train_recipe(recipe, mnist.load())


def main() -> None:
    """Print the seconds per epoch, and their ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    for _ in range(ROUNDS):
        for name in CONFIGURATIONS:
            # Each run has its own process, because TensorFlow settings are global to a process.
            with get_context("spawn").Pool(1) as pool:
                seconds[name] += pool.apply(measure, (name,))[1:]
    epoch_seconds = {name: statistics.median(epochs) for name, epochs in seconds.items()}

    grid = tables.table("Time per epoch", ("configuration",), ("seconds", "ratio", "target"))
    for name, baseline, target in COMPARISONS:
        grid.add_row(baseline, f"{epoch_seconds[baseline]:.2f}", "1.00", "")
        ratio = epoch_seconds[name] / epoch_seconds[baseline]
        grid.add_row(name, f"{epoch_seconds[name]:.2f}", f"{ratio:.2f}", target)
    terminal.show(grid)

    grid = tables.table("Time of a complete training", ("recipe",), ("epochs", "in plain epochs of cnn"))
    for recipe in (TUNED, EDGE):
        plain_epochs = recipe.epochs * epoch_seconds[recipe.name] / epoch_seconds["cnn, plain model.fit"]
        grid.add_row(recipe.name, str(recipe.epochs), f"{plain_epochs:.1f}")
    terminal.show(grid)


if __name__ == "__main__":
    main()
