"""Trains the network of a recipe on a data set and records the run."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistkit.core import files, plots, records
from mnistkit.core.errors import DataError, RecipeError
from mnistkit.core.native_output import suppress_output
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset, LabeledImages
from mnistkit.device.machine import Machine, this_machine
from mnistkit.training import augmentation, keras_models, loading
from mnistkit.training.model import build_model
from mnistkit.training.recipes import Augmentation, Optimizer, Published, Recipe, Validation

# Batches that Keras runs between two returns to Python: 50 make an epoch 15% shorter than 1.
STEPS_PER_EXECUTION = 50
VALIDATION_BATCH_SIZE = 500
WARMUP_FRACTION = 0.05  # fraction of the training steps


@dataclass(frozen=True)
class History(records.Record, schema="history", version=1):
    """The metrics and the duration of each epoch, measured during training."""

    metrics: dict[str, tuple[float, ...]]  # metric name, as in a Keras history, to its value in each epoch
    seconds: tuple[float, ...]

    def format_epoch(self, epoch: int) -> str:
        """The metrics and the duration of an epoch, counted from 0, as text."""
        metrics = "  ".join(f"{name} {values[epoch]:.4f}" for name, values in self.metrics.items())
        return f"{metrics}  {self.seconds[epoch]:.1f} s"


@dataclass(frozen=True)
class TrainingRun(records.Record, schema="run", version=1):
    """A training run: recipe, data set, duration and accuracy."""

    recipe: str
    summary: str
    source: str
    optimizer: str
    batch_size: records.Count
    epochs: records.Count
    validation: Validation
    augmentation: Augmentation | None
    init_from_sha256: str | None  # SHA-256 of the model file that training continued from; None for new weights
    seed: records.Count
    data: str
    data_sha256: str
    parameters: records.Count  # at inference
    macs: records.Count
    training_seconds: records.NonNegative
    training_accuracy: records.Share  # of the last epoch, measured during the epoch
    validation_accuracy: records.Share | None  # after the last epoch; None if no images were held out
    test_accuracy: records.Share
    published: Published | None  # None if the recipe has none or the data set is not MNIST
    versions: dict[str, str]
    machine: Machine | None = None  # None in records of earlier versions
    threads: records.Count = 0  # of an operation; 0 if TensorFlow chose it
    data_path: str | None = None  # as the user passed it; None for MNIST


def train(
    recipe: Recipe, data: Dataset, seed: int, out: Path, init_from: Path | None = None, progress: Progress = SILENT
) -> TrainingRun:
    """Train the recipe's network, or the model in `init_from`, and write the model and its records to folder `out`.

    The files are model.keras, history.json, curves.png and run.json. The same seed, versions, CPU and number of threads
    reproduce the same weights. Raises RecipeError if the images are too small for the network or training diverges,
    DataError if there are no training images, ModelError if `init_from` can't be loaded or does not match the data,
    StorageError if `out` can't be written.
    """
    keras = keras_models.import_keras()
    import tensorflow as tf

    plots.require()
    if len(data.x_train) == 0:
        raise DataError(f"{data.name} has no training images", "pass another data set with --data")
    _make_reproducible(keras, seed)
    _set_threads(recipe.threads)
    model = _initial_model(recipe, data, init_from)
    training, held_out = data.hold_out(recipe.validation)
    started = time.perf_counter()
    history = _fit(model, recipe, training, held_out, seed, progress)
    seconds = time.perf_counter() - started
    with progress.task("test accuracy"):
        probabilities = keras_models.predict(model, data.x_test)
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
        init_from_sha256=files.sha256_of(init_from) if init_from else None,
        seed=seed,
        data=data.name,
        data_sha256=digest,
        data_path=str(data.path) if data.path else None,
        parameters=keras_models.count_parameters(model),
        macs=keras_models.count_macs(model),
        training_seconds=round(seconds, 1),
        training_accuracy=history.metrics["accuracy"][-1],
        validation_accuracy=history.metrics["val_accuracy"][-1] if held_out else None,
        test_accuracy=float((probabilities.argmax(axis=1) == data.y_test).mean()),
        published=recipe.published if digest == mnist.DIGEST else None,
        machine=this_machine(),
        threads=tf.config.threading.get_intra_op_parallelism_threads(),
        versions=installed_versions("mnistkit", "tensorflow", "keras", "numpy"),
    )
    # run.json is removed first and written last: if it exists, the other files are from the same run.
    files.remove(out / "run.json")
    keras_models.save(model, out / "model.keras")
    records.write(out / "history.json", history)
    files.write_bytes(out / "curves.png", plots.training_curves(history.metrics))
    records.write(out / "run.json", run)
    return run


def _initial_model(recipe: Recipe, data: Dataset, init_from: Path | None) -> keras_models.KerasModel:
    if init_from is None:
        return build_model(recipe, data.image_shape, data.classes)
    model = loading.load(init_from)
    keras_models.check_matches_data(model, data)
    return model


def _make_reproducible(keras: Any, seed: int) -> None:
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _set_threads(threads: int) -> None:
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow is in use already, so its thread count is fixed
        tf.config.threading.set_intra_op_parallelism_threads(threads)


def _fit(
    model: keras_models.KerasModel,
    recipe: Recipe,
    training: LabeledImages,
    held_out: LabeledImages | None,
    seed: int,
    progress: Progress,
) -> History:
    images = len(training.images)
    steps = math.ceil(images / recipe.batch_size)  # per epoch
    model.compile(
        optimizer=_make_optimizer(recipe.optimizer, steps * recipe.epochs),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=min(STEPS_PER_EXECUTION, steps),
    )
    with progress.task(f"training {recipe.name}", recipe.epochs * images) as advance, suppress_output():
        recorder = _HistoryRecorder(recipe, images, advance, progress)
        model.fit(
            **_fit_inputs(recipe, training, seed),
            validation_data=(held_out.images, held_out.labels) if held_out else None,
            validation_batch_size=VALIDATION_BATCH_SIZE,
            epochs=recipe.epochs,
            verbose=0,
            callbacks=[recorder.callback()],
        )
    return recorder.history


def _fit_inputs(recipe: Recipe, training: LabeledImages, seed: int) -> dict[str, Any]:
    """The arguments of Keras's `fit` that provide the batches."""
    images, labels = training.images, training.labels
    if recipe.augmentation is None:
        return {"x": images, "y": labels, "batch_size": recipe.batch_size}
    batches = augmentation.augmented_batches(images, labels, recipe.batch_size, recipe.augmentation, seed)
    return {"x": batches, "shuffle": False}


def _make_optimizer(optimizer: Optimizer, steps: int) -> Any:
    """The Keras optimizer for `steps` training steps.

    With a peak, the learning rate rises linearly to it during the warmup and then decays to 0 along a cosine.
    """
    keras = keras_models.import_keras()
    if optimizer.peak is None:
        return keras.optimizers.get(optimizer.name)
    warmup_steps = max(1, round(WARMUP_FRACTION * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        optimizer.peak / 20, max(1, steps - warmup_steps), warmup_target=optimizer.peak, warmup_steps=warmup_steps
    )
    return keras.optimizers.get({"class_name": optimizer.name, "config": {"learning_rate": schedule}})


class _HistoryRecorder:
    """Records the history of a training, and reports its progress."""

    def __init__(self, recipe: Recipe, images: int, advance: Callable[[float], None], progress: Progress) -> None:
        self.history = History({}, ())
        self._recipe, self._images, self._advance, self._progress = recipe, images, advance, progress
        self._epoch_started, self._images_done = 0.0, 0

    def callback(self) -> Any:
        """The Keras callback."""
        keras = keras_models.import_keras()
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=self._on_epoch_begin, on_train_batch_end=self._on_batch_end, on_epoch_end=self._on_epoch_end
        )

    def _on_epoch_begin(self, epoch: int, logs: object) -> None:
        self._epoch_started, self._images_done = time.perf_counter(), 0

    def _on_batch_end(self, batch: int, logs: object) -> None:
        images_done = min((batch + 1) * self._recipe.batch_size, self._images)
        self._advance(images_done - self._images_done)
        self._images_done = images_done

    def _on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if not all(map(math.isfinite, logs.values())):
            raise RecipeError(f"training diverged in epoch {epoch + 1}", "try another --optimizer or --batch-size")
        seconds = round(time.perf_counter() - self._epoch_started, 2)
        metrics = {name: (*self.history.metrics.get(name, ()), float(value)) for name, value in logs.items()}
        self.history = History(metrics, (*self.history.seconds, seconds))
        self._progress.log(f"epoch {epoch + 1}/{self._recipe.epochs}  {self.history.format_epoch(epoch)}")
