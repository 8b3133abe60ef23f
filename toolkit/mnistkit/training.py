"""A recipe and a data set make a trained model and the record of its run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mnistkit import keras_models, records
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.errors import RecipeError
from mnistkit.progress import SILENT, Progress
from mnistkit.recipes import CLASSES, Recipe
from mnistkit.versions import versions

# Keras returns to Python once in so many batches: 15% less time an epoch than at each batch.
STEPS_PER_EXECUTION = 50


@dataclass(frozen=True)
class History(records.Record):
    """Figures of each epoch, measured while it trained."""

    schema: ClassVar[str] = "history"
    version: ClassVar[int] = 1

    figures: dict[str, tuple[float, ...]]  # by their names: loss, accuracy
    seconds: tuple[float, ...]

    def line(self, epoch: int) -> str:
        """What is said of an epoch, counted from 0."""
        figures = "  ".join(f"{name} {values[epoch]:.4f}" for name, values in self.figures.items())
        return f"{figures}  {self.seconds[epoch]:.1f} s"


@dataclass(frozen=True)
class Run(records.Record):
    """The papers of one training: what was trained on what, how long it took, what came of it."""

    schema: ClassVar[str] = "run"
    version: ClassVar[int] = 1

    recipe: str
    summary: str
    source: str
    optimizer: str
    batch_size: int
    epochs: int
    seed: int
    data: str
    data_sha256: str
    parameters: int
    macs: int
    training_seconds: float
    test_accuracy: float
    published_accuracy: float | None  # on MNIST; None on other data
    versions: dict[str, str]


def train(recipe: Recipe, data: Dataset, seed: int, out: Path, progress: Progress = SILENT) -> Run:
    """Train the recipe's network and write model.keras, history.json and run.json to the folder `out`.

    The same seed, machine and versions give the same weights. Raises RecipeError where the network
    does not fit the images, StorageError where `out` can't be written.
    """
    keras = keras_models.import_keras()
    _make_reproducible(keras, seed)
    model = build(recipe, data)
    started = time.perf_counter()
    history = _fit(model, recipe, data, progress)
    seconds = time.perf_counter() - started
    with progress.task("test accuracy"):
        answers = keras_models.predict(model, data.x_test)
    run = Run(
        recipe=recipe.name,
        summary=recipe.summary,
        source=recipe.source,
        optimizer=recipe.optimizer,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        seed=seed,
        data=data.name,
        data_sha256=data.digest,
        parameters=model.count_params(),
        macs=keras_models.count_macs(model),
        training_seconds=round(seconds, 1),
        test_accuracy=float((answers.argmax(axis=1) == data.y_test).mean()),
        published_accuracy=recipe.published_accuracy if data.name == mnist.NAME else None,
        versions=versions("mnistkit", "tensorflow", "keras", "numpy"),
    )
    keras_models.save(model, out / "model.keras")
    records.write(out / "history.json", history)
    records.write(out / "run.json", run)
    return run


def build(recipe: Recipe, data: Dataset) -> keras_models.KerasModel:
    """The recipe's network, untrained, for raw images of the data set's shape; raises RecipeError."""
    keras = keras_models.import_keras()
    model = keras.Sequential([keras.Input(data.image_shape, name="image")], name=recipe.name.replace("-", "_"))
    for layer in recipe.layers:
        options = {name: data.classes if value == CLASSES else value for name, value in layer.options.items()}
        try:
            model.add(getattr(keras.layers, layer.kind)(**options))
        except ValueError as error:  # a window larger than what is left of the image
            shape = "×".join(map(str, data.image_shape))
            raise RecipeError(
                f"{recipe.name} doesn't fit images of {shape} ({layer.kind})", "choose another recipe or larger images"
            ) from error
    return model


def _make_reproducible(keras: Any, seed: int) -> None:
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _fit(model: keras_models.KerasModel, recipe: Recipe, data: Dataset, progress: Progress) -> History:
    model.compile(
        optimizer=recipe.optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    reporter = _Reporter(recipe, len(data.x_train), progress)
    with progress.task(f"training {recipe.name}", recipe.epochs * len(data.x_train)) as reporter.advance:
        model.fit(
            data.x_train,
            data.y_train,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            verbose=0,
            callbacks=[reporter.callback()],
        )
    return reporter.history


class _Reporter:
    """Moves the progress along, and gathers and tells the figures of each epoch."""

    def __init__(self, recipe: Recipe, images: int, progress: Progress) -> None:
        self.history = History({}, ())
        self.advance: Callable[[float], None]
        self._recipe, self._images, self._progress = recipe, images, progress
        self._started, self._done = 0.0, 0

    def callback(self) -> Any:
        """What Keras calls."""
        keras = keras_models.import_keras()
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=self._epoch_begins, on_train_batch_end=self._batch_ends, on_epoch_end=self._epoch_ends
        )

    def _epoch_begins(self, epoch: int, logs: object) -> None:
        self._started, self._done = time.perf_counter(), 0

    def _batch_ends(self, batch: int, logs: object) -> None:
        done = min((batch + 1) * self._recipe.batch_size, self._images)
        self.advance(done - self._done)
        self._done = done

    def _epoch_ends(self, epoch: int, logs: dict[str, float]) -> None:
        seconds = round(time.perf_counter() - self._started, 2)
        figures = {name: (*self.history.figures.get(name, ()), float(value)) for name, value in logs.items()}
        self.history = History(figures, (*self.history.seconds, seconds))
        self._progress.say(f"epoch {epoch + 1}/{self._recipe.epochs}  {self.history.line(epoch)}")
