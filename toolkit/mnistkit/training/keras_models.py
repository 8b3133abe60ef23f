"""The one door to TensorFlow and Keras: imported without their noise, models loaded without their risks."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core import files
from mnistkit.core.errors import ModelError
from mnistkit.core.native_output import suppress_output
from mnistkit.core.packages import missing_package

if TYPE_CHECKING:
    from mnistkit.data.dataset import Dataset

MAGIC = {b"PK\x03\x04": ".keras", b"\x89HDF\r\n\x1a\n": ".h5"}
SUFFIXES = {".keras": (".keras",), ".h5": (".h5", ".hdf5")}  # Keras picks the reader by the name
BATCH_NORM = "BatchNormalization"
KerasModel = Any  # Keras ships no types that mypy could follow


def import_keras() -> Any:
    """The keras module on TensorFlow; raises MissingExtraError where that is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with suppress_output():
            import keras
            import tensorflow  # noqa: F401  # its import is what makes the noise
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "train") from error
    return keras


def load(path: Path) -> KerasModel:
    """The Keras model in `path` (.keras, or legacy .h5), in safe mode, so that no code in it runs.

    Raises StorageError where it can't be read, ModelError where it is no image classifier.
    """
    head = _head(path)
    suffix = next((suffix for magic, suffix in MAGIC.items() if head.startswith(magic)), None)
    if suffix is None:  # said at once: Keras takes seconds to import
        raise ModelError(f"{path} is neither a .keras nor an .h5 file", "name a model that Keras has saved")
    if path.suffix not in SUFFIXES[suffix]:
        raise ModelError(f"{path} holds a {suffix} model under another name", f"rename it to end in {suffix}")
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its parts raise on a broken file
        raise ModelError(f"{path} can't be loaded: {_first_line(error)}", "train or save it again") from error
    check_classifier(model, str(path))
    return model


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise files.storage_error("read", path, error) from error


def check_classifier(model: KerasModel, name: str) -> None:
    """Raise ModelError unless the model maps [N, height, width, channels] to [N, classes]."""
    remedy = "mnistkit takes image classifiers with one input and one output"
    if not getattr(model, "built", False) or not hasattr(model, "inputs"):
        raise ModelError(f"{name} was saved before it knew its input", "give it an Input and save it again")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs", remedy)
    image, answer = model.inputs[0].shape, model.outputs[0].shape
    if len(image) != 4 or None in image[1:]:
        raise ModelError(f"{name} takes the shape {list(image)}, not [N, height, width, channels]", remedy)
    if len(answer) != 2 or answer[1] is None:
        raise ModelError(f"{name} gives the shape {list(answer)}, not [N, classes]", remedy)


def check_fit(model: KerasModel, data: Dataset) -> None:
    """Raise ModelError unless the model takes the data's images and knows all its classes."""
    takes, knows = tuple(model.inputs[0].shape[1:]), model.outputs[0].shape[1]
    if takes != data.image_shape or knows < data.classes:
        raise ModelError(
            f"the model takes images {list(takes)} in {knows} classes, "
            f"the data has {list(data.image_shape)} in {data.classes}",
            "bring data that fit it with --data",
        )


def save(model: KerasModel, path: Path) -> None:
    """Write the model to `path` (.keras), atomically; raises StorageError."""
    with files.atomic_file(path) as temporary:
        model.save(temporary)


def set_weights(model: KerasModel, weights: list[Any]) -> None:
    """Give the model these weights, and have its layers work out what they keep beside them."""
    model.set_weights(weights)
    for layer in model._flatten_layers():  # noqa: SLF001
        if hasattr(layer, "finalize_state"):  # of an adapted Normalization
            layer.finalize_state()


def predict(model: KerasModel, images: Any) -> Any:
    """The model's own probabilities, float32 [N, classes], of raw images, uint8 [N, height, width, channels].

    Raises ModelError where the model can't be run.
    """
    try:
        with suppress_output():
            return model.predict(images, batch_size=500, verbose=0).astype("float32", copy=False)
    except Exception as error:  # a layer raises whatever it likes
        raise ModelError(f"the model can't be run: {_first_line(error)}", "see that it predicts in Keras") from error


@dataclass(frozen=True)
class LayerSummary:
    """One line of a model's summary."""

    name: str
    kind: str
    output: tuple[int, ...]  # shape, without the batch
    parameters: int
    macs: int


def summarize(model: KerasModel) -> tuple[LayerSummary, ...]:
    """The model, layer by layer."""
    return tuple(
        LayerSummary(
            layer.name, type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params(), _layer_macs(layer)
        )
        for layer in model.layers
    )


def count_parameters(model: KerasModel) -> int:
    """The numbers that an inference needs: batch normalisation counts as what is left of it when it is folded."""
    total, before = 0, None
    for layer in model.layers:
        total += _folded_parameters(layer, before) if type(layer).__name__ == BATCH_NORM else layer.count_params()
        before = layer
    return total


def _folded_parameters(layer: Any, before: Any) -> int:
    """A bias where the layer before has none, nothing where it has one; a scale and a shift where it can't fold."""
    channels: int = layer.output.shape[-1]
    return {True: 0, False: channels, None: 2 * channels}[getattr(before, "use_bias", None)]


def count_macs(model: KerasModel) -> int:
    """Multiply-accumulates of one inference: each weight of two or more dimensions, once an output position."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: Any) -> int:
    if hasattr(layer, "layers"):
        return count_macs(_sized(layer))
    kind = type(layer).__name__
    weights: int = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    if not weights or kind == "PReLU":
        return 0
    shape: tuple[int, ...] = (layer.input if kind == "Conv2DTranspose" else layer.output).shape[1:]
    channels_first = getattr(layer, "data_format", "") == "channels_first"
    return weights * math.prod(shape[1:] if channels_first else shape[:-1])


def _sized(model: KerasModel) -> KerasModel:
    """A model within a model, which need not know the size of its images, for the size that it is given there."""
    if None not in model.inputs[0].shape[1:]:
        return model
    keras = import_keras()
    given = model._inbound_nodes[-1].input_tensors[0].shape[1:]  # noqa: SLF001
    return keras.models.clone_model(model, input_tensors=keras.Input(given))
