"""What our training costs beside plain Keras: seconds an epoch, side by side, as ratios.

    python benchmarks/training.py

Each is trained for a few epochs in turn, round after round, and the first epoch of each, in which TensorFlow traces
the graph, is left out.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from mnistkit.cli import tables
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit.training.model import build_model
from mnistkit.training.recipes import RECIPES, Recipe
from mnistkit.training.train import History, train

ROUNDS, EPOCHS = 3, 3
CNN, TUNED, EDGE = RECIPES["cnn"], RECIPES["cnn-tuned"], RECIPES["edge"]


def ours(recipe: Recipe, data: Dataset) -> list[float]:
    """Seconds of each epoch as mnistkit trains the recipe."""
    with tempfile.TemporaryDirectory() as folder:
        train(replace(recipe, epochs=EPOCHS), data, 1, Path(folder))
        return list(records.read(Path(folder) / "history.json", History, "").seconds)


def plain(recipe: Recipe, data: Dataset) -> list[float]:
    """Seconds of each epoch as `model.fit` trains the same network by itself."""
    keras = keras_models.import_keras()
    model = build_model(recipe, data.image_shape, data.classes)
    model.compile(recipe.optimizer.name, "sparse_categorical_crossentropy", metrics=["accuracy"])
    marks = [time.perf_counter()]
    mark = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()))
    model.fit(data.x_train, data.y_train, recipe.batch_size, EPOCHS, verbose=0, callbacks=[mark])
    return [end - start for start, end in itertools.pairwise(marks)]


CONTESTANTS: dict[str, tuple[Callable[[Recipe, Dataset], list[float]], Recipe]] = {
    "cnn, plain model.fit": (plain, CNN),
    "cnn": (ours, CNN),
    "cnn-tuned, not augmented": (ours, replace(TUNED, augmentation=None)),
    "cnn-tuned": (ours, TUNED),
    "edge": (ours, EDGE),
}


def contest(name: str) -> list[float]:
    """Seconds of each epoch of one contestant."""
    train_it, recipe = CONTESTANTS[name]
    return train_it(recipe, mnist.load())


def main() -> None:
    """Print the ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name in CONTESTANTS:
            # A process of its own: what one sets in TensorFlow, the next must not meet.
            with get_context("spawn").Pool(1) as pool:
                seconds[name] += pool.apply(contest, (name,))[1:]
    epoch = {name: statistics.median(found) for name, found in seconds.items()}

    grid = tables.table("An epoch", ("what",), ("seconds", "ratio", "target"))
    for name, other, target in (
        ("cnn", "cnn, plain model.fit", "≤ 1.00"),
        ("cnn-tuned", "cnn-tuned, not augmented", "≤ 1.25"),
    ):
        grid.add_row(other, f"{epoch[other]:.2f}", "1.00", "")
        grid.add_row(name, f"{epoch[name]:.2f}", f"{epoch[name] / epoch[other]:.2f}", target)
    Console().print(grid)

    grid = tables.table("A whole training", ("what",), ("epochs", "in plain epochs of cnn"))
    for recipe in (TUNED, EDGE):
        whole = recipe.epochs * epoch[recipe.name] / epoch["cnn, plain model.fit"]
        grid.add_row(recipe.name, str(recipe.epochs), f"{whole:.1f}")
    Console().print(grid)


if __name__ == "__main__":
    main()
