"""A recipe and a data set make a trained model and the record of its run."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mnistkit.core import files, plots, records
from mnistkit.core.errors import RecipeError
from mnistkit.core.native_output import suppress_output
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset, LabeledImages
from mnistkit.training import augmentation, keras_models
from mnistkit.training.model import build_model
from mnistkit.training.recipes import Augmentation, Optimizer, Published, Recipe, Validation

# Keras returns to Python once in so many batches: 15% less time an epoch than at each batch.
STEPS_PER_EXECUTION = 50
VALIDATION_BATCH = 500
WARMUP_FRACTION = 0.05  # the share of the steps in which the learning rate rises to its peak


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
class TrainingRun(records.Record):
    """The papers of one training: what was trained on what, how long it took, what came of it."""

    schema: ClassVar[str] = "run"
    version: ClassVar[int] = 1

    recipe: str
    summary: str
    source: str
    optimizer: str
    batch_size: int
    epochs: int
    validation: Validation
    augmentation: Augmentation | None
    init_from_sha256: str | None  # the SHA-256 of the model that it started from
    seed: int
    data: str
    data_sha256: str
    parameters: int  # at inference
    macs: int
    training_seconds: float
    training_accuracy: float  # in the last epoch, while it trained
    validation_accuracy: float | None  # after it
    test_accuracy: float
    published: Published | None  # on MNIST; None on other data
    versions: dict[str, str]


def train(
    recipe: Recipe, data: Dataset, seed: int, out: Path, start: Path | None = None, progress: Progress = SILENT
) -> TrainingRun:
    """Train the recipe's network, or the model in `start`, and write model.keras and its papers to the folder `out`.

    The papers are history.json, curves.png and run.json. The same seed, machine and versions give the same
    weights. Raises RecipeError where the network does not fit the images, or diverges; ModelError where `start`
    can't be loaded, or doesn't fit them; StorageError where `out` can't be written.
    """
    keras = keras_models.import_keras()
    plots.require()
    _make_reproducible(keras, seed)
    _limit_threads(recipe.threads)
    model = _network(recipe, data, start)
    training, held_out = data.hold_out(recipe.validation)
    started = time.perf_counter()
    history = _fit(model, recipe, training, held_out, seed, progress)
    seconds = time.perf_counter() - started
    with progress.task("test accuracy"):
        answers = keras_models.predict(model, data.x_test)
    digest = data.digest
    run = TrainingRun(
        recipe=recipe.name,
        summary=recipe.summary,
        source=recipe.source,
        optimizer=str(recipe.optimizer),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation=recipe.validation,
        augmentation=recipe.augmentation,
        init_from_sha256=files.sha256_of(start) if start else None,
        seed=seed,
        data=data.name,
        data_sha256=digest,
        parameters=keras_models.count_parameters(model),
        macs=keras_models.count_macs(model),
        training_seconds=round(seconds, 1),
        training_accuracy=history.figures["accuracy"][-1],
        validation_accuracy=history.figures["val_accuracy"][-1] if held_out else None,
        test_accuracy=float((answers.argmax(axis=1) == data.y_test).mean()),
        published=recipe.published if digest == mnist.DIGEST else None,
        versions=installed_versions("mnistkit", "tensorflow", "keras", "numpy"),
    )
    files.remove(out / "run.json")  # written last, it stands for the whole
    keras_models.save(model, out / "model.keras")
    records.write(out / "history.json", history)
    files.write_bytes(out / "curves.png", plots.training_curves(history.figures))
    records.write(out / "run.json", run)
    return run


def _network(recipe: Recipe, data: Dataset, start: Path | None) -> keras_models.KerasModel:
    if start is None:
        return build_model(recipe, data.image_shape, data.classes)
    model = keras_models.load(start)
    keras_models.check_fit(model, data)
    return model


def _make_reproducible(keras: Any, seed: int) -> None:
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _limit_threads(threads: int | None) -> None:
    import tensorflow as tf

    if threads:
        with contextlib.suppress(RuntimeError):  # a process that has used TensorFlow already keeps its threads
            tf.config.threading.set_intra_op_parallelism_threads(threads)


def _fit(
    model: keras_models.KerasModel,
    recipe: Recipe,
    training: LabeledImages,
    held_out: LabeledImages | None,
    seed: int,
    progress: Progress,
) -> History:
    count = len(training.images)
    steps = -(-count // recipe.batch_size)
    model.compile(
        optimizer=_optimizer(recipe.optimizer, steps * recipe.epochs),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=min(STEPS_PER_EXECUTION, steps),
    )
    reporter = _Reporter(recipe, count, progress)
    with progress.task(f"training {recipe.name}", recipe.epochs * count) as reporter.advance, suppress_output():
        model.fit(
            **_batches(recipe, training, seed),
            validation_data=(held_out.images, held_out.labels) if held_out else None,
            validation_batch_size=VALIDATION_BATCH,
            epochs=recipe.epochs,
            verbose=0,
            callbacks=[reporter.callback()],
        )
    return reporter.history


def _batches(recipe: Recipe, training: LabeledImages, seed: int) -> dict[str, Any]:
    """The arguments by which Keras's fit gets its batches."""
    if recipe.augmentation is None:
        return {"x": training.images, "y": training.labels, "batch_size": recipe.batch_size}
    images, labels = training.images, training.labels
    batches = augmentation.augmented_batches(images, labels, recipe.batch_size, recipe.augmentation, seed)
    return {"x": batches, "shuffle": False}


def _optimizer(chosen: Optimizer, steps: int) -> Any:
    """A Keras optimiser; where a peak is given, the learning rate rises to it and falls along a cosine in `steps`."""
    keras = keras_models.import_keras()
    if chosen.peak is None:
        return keras.optimizers.get(chosen.name)
    rise = max(1, round(WARMUP_FRACTION * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        chosen.peak / 20, max(1, steps - rise), warmup_target=chosen.peak, warmup_steps=rise
    )
    return keras.optimizers.get({"class_name": chosen.name, "config": {"learning_rate": schedule}})


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
        if not all(map(math.isfinite, logs.values())):
            raise RecipeError(f"training diverged in epoch {epoch + 1}", "try another --optimizer or --batch-size")
        seconds = round(time.perf_counter() - self._started, 2)
        figures = {name: (*self.history.figures.get(name, ()), float(value)) for name, value in logs.items()}
        self.history = History(figures, (*self.history.seconds, seconds))
        self._progress.log(f"epoch {epoch + 1}/{self._recipe.epochs}  {self.history.line(epoch)}")
