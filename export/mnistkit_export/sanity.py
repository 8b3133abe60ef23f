"""Checks that a model and a data set belong together: against a wrong reference, every PASS is worthless."""

import shlex
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import records
from mnistkit.core.errors import DataError, ModelError
from mnistkit.data.dataset import Dataset
from mnistkit.training.train import TrainingRun

CHANCE_FACTOR = 1.5  # smallest ratio of the accuracy to the share of the largest class
USEFUL_ACCURACY = 0.5  # above it, a large loss only means that the model is too certain
MAX_ACCURACY_CHANGE = 0.01  # from the accuracy in run.json
RUN_FILE = "run.json"


def check_accuracy(
    accuracy: float, loss: float, labels: NDArray[np.int64], split: str, data: Dataset, model_path: Path
) -> None:
    """Raise ModelError if the model is hardly better on images of a split than the shares of the classes alone.

    `labels` are those of the images, `loss` is the mean cross-entropy in nats. The limit of the accuracy is 1.5 times
    the share of the largest class, or, if that class has more than half of the images, half of the remaining errors.
    A model that is right less than half of the time must also have a lower loss than the shares of the classes: under
    the best of many preprocessings, a model for other data may pass the first limit by chance, but not both.
    """
    shares = np.bincount(labels.astype(np.intp)) / len(labels)
    largest, entropy = float(shares.max()), -float(np.sum(shares * np.log(shares, where=shares > 0, out=0 * shares)))
    limit = min(CHANCE_FACTOR * largest, (1 + largest) / 2)
    if accuracy < limit or (accuracy < USEFUL_ACCURACY and loss >= entropy):
        arguments = [str(model_path), *(("--data", str(data.path)) if data.path else ())]
        raise ModelError(
            f"the model's accuracy is {accuracy:.2%} (loss {loss:.2f}) on {len(labels):,} {split} images of "
            f"{data.name}, where always predicting the largest class gives {largest:.2%} (the shares of the classes "
            f"a loss of {entropy:.2f}): it was trained on other data, or with another preprocessing",
            "pass its data set with --data PATH and its preprocessing with --preprocessing, or accept the accuracy: "
            f"mnistkit export {shlex.join(arguments)} --preprocessing raw --accept-accuracy",
        )


def check_training_run(model_path: Path, data: Dataset) -> TrainingRun | None:
    """The run.json that `mnistkit train` wrote beside the model; None if there is none.

    Raises DataError if the model was trained on another data set.
    """
    path = model_path.with_name(RUN_FILE)
    if not path.is_file() or not records.names_schema(path, TrainingRun):
        return None
    run = records.read(path, TrainingRun, "train the model again, or remove the file")
    if run.data_sha256 != data.digest:
        source = f"--data {shlex.quote(run.data_path)}" if run.data_path else "without --data"
        raise DataError(
            f"{model_path} was trained on the data set {run.data}, not on {data.name} (SHA-256 in {path} differs)",
            f"export it {source}, or accept the accuracy on {data.name} with --accept-accuracy",
        )
    return run


def check_training_accuracy(run: TrainingRun, accuracy: float, model_path: Path) -> None:
    """Raise ModelError if the accuracy differs from that in run.json by more than one percentage point."""
    if abs(accuracy - run.test_accuracy) > MAX_ACCURACY_CHANGE:
        raise ModelError(
            f"the accuracy of {model_path} is {accuracy:.2%}, but {run.test_accuracy:.2%} in {RUN_FILE} beside it",
            f"remove {RUN_FILE} if it belongs to another model, or pass --accept-accuracy",
        )
