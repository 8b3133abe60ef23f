"""The one door to TensorFlow and Keras: imported without their noise, models loaded without their risks."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from mnistkit import files
from mnistkit.errors import ModelError
from mnistkit.extras import missing
from mnistkit.native_output import swallowed

KerasModel = Any  # Keras ships no types that mypy could follow


def import_keras() -> Any:
    """The keras module on TensorFlow; raises MissingExtraError where that is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with swallowed():
            import keras
            import tensorflow  # noqa: F401  # its import is what makes the noise
    except ModuleNotFoundError as error:
        raise missing(str(error.name), "train") from error
    return keras


def load(path: Path) -> KerasModel:
    """The Keras model in `path`, in safe mode, so that no code in it runs.

    Raises StorageError where it can't be read, ModelError where it is no image classifier.
    """
    if not _head(path).startswith(b"PK"):  # said at once: Keras takes seconds to import
        raise ModelError(f"{path} is not a .keras file", "name a model that Keras 3 has saved")
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its parts raise on a broken file
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelError(f"{path} can't be loaded: {reason}", "train or save it again") from error
    check_classifier(model, str(path))
    return model


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise files.storage_error("read", path, error) from error


def check_classifier(model: KerasModel, name: str) -> None:
    """Raise ModelError unless the model maps [N, height, width, channels] to [N, classes]."""
    remedy = "mnistkit takes image classifiers with one input and one output"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs", remedy)
    image, answer = model.inputs[0].shape, model.outputs[0].shape
    if len(image) != 4 or None in image[1:]:
        raise ModelError(f"{name} takes the shape {list(image)}, not [N, height, width, channels]", remedy)
    if len(answer) != 2 or answer[1] is None:
        raise ModelError(f"{name} gives the shape {list(answer)}, not [N, classes]", remedy)


def save(model: KerasModel, path: Path) -> None:
    """Write the model to `path` (.keras), atomically; raises StorageError."""
    with files.replacing_file(path) as temporary:
        model.save(temporary)


def predict(model: KerasModel, images: Any) -> Any:
    """The model's own probabilities, float32 [N, classes], of raw images, uint8 [N, height, width, channels]."""
    return model.predict(images, batch_size=500, verbose=0)


def count_macs(model: KerasModel) -> int:
    """Multiply-accumulates of one inference: each weight of two or more dimensions, once an output position."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: Any) -> int:
    if hasattr(layer, "layers"):
        return count_macs(layer)
    weights = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    return weights * math.prod(layer.output.shape[1:-1]) if weights else 0
