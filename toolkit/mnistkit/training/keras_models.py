"""Keras models: import of Keras without log output, safe loading, prediction, and counts of parameters and MACs."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import ModelError, one_line
from mnistkit.core.native_output import suppress_output
from mnistkit.core.packages import missing_package
from mnistkit.data.dataset import Dataset

SIGNATURES = {b"PK\x03\x04": ".keras", b"\x89HDF\r\n\x1a\n": ".h5"}  # first bytes of a file
SUFFIXES = {".keras": (".keras",), ".h5": (".h5", ".hdf5")}  # Keras chooses the reader by the suffix
MAX_MESSAGE = 200  # characters of a Keras error message that are shown
KerasModel = Any  # Keras has no type annotations


def import_keras() -> Any:
    """The keras module with the TensorFlow backend; raises MissingExtraError if it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with suppress_output():
            import keras
            import tensorflow  # noqa: F401  # logs during its import
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "train") from error
    return keras


def load(path: Path) -> KerasModel:
    """The Keras model in `path` (.keras or legacy .h5), loaded in safe mode: no code in the file runs.

    Raises StorageError if the file can't be read, ModelError if it is not an image classifier.
    """
    # Checked before Keras is imported, which takes seconds.
    start = _read_start(path)
    suffix = next((suffix for signature, suffix in SIGNATURES.items() if start.startswith(signature)), None)
    if suffix is None:
        raise ModelError(f"{path} is not a .keras or .h5 file", "pass a model that was saved by Keras")
    if path.suffix not in SUFFIXES[suffix]:
        raise ModelError(f"{path} is a {suffix} file with another suffix", f"rename it to end in {suffix}")
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types of exception for corrupt files
        message = one_line(error, MAX_MESSAGE)
        raise ModelError(f"cannot load {path}: {message}", "train the model again or save it again") from error
    check_classifier(model, str(path))
    return model


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise files.storage_error("read", path, error) from error


def check_classifier(model: KerasModel, name: str) -> None:
    """Raise ModelError unless the model maps [N, height, width, channels] to [N, classes]."""
    remedy = "mnistkit supports image classifiers with one input and one output"
    if not getattr(model, "built", False) or not hasattr(model, "inputs"):
        raise ModelError(f"{name} has no input shape", "add a keras.Input to the model and save it again")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs", remedy)
    input_shape, output_shape = model.inputs[0].shape, model.outputs[0].shape
    if len(input_shape) != 4 or None in input_shape[1:]:
        raise ModelError(f"{name} has input shape {list(input_shape)}, not [N, height, width, channels]", remedy)
    if len(output_shape) != 2 or output_shape[1] is None:
        raise ModelError(f"{name} has output shape {list(output_shape)}, not [N, classes]", remedy)


def check_matches_data(model: KerasModel, data: Dataset) -> None:
    """Raise ModelError unless the model accepts the data set's images and has an output for each of its classes."""
    image_shape, classes = tuple(model.inputs[0].shape[1:]), model.outputs[0].shape[1]
    if image_shape != data.image_shape or classes < data.classes:
        raise ModelError(
            f"the model is for {list(image_shape)} images in {classes} classes, "
            f"the data set has {list(data.image_shape)} images in {data.classes} classes",
            "pass a matching data set with --data",
        )


def save(model: KerasModel, path: Path) -> None:
    """Write the model to `path` (.keras), atomically; raises StorageError."""
    with files.atomic_file(path) as temporary:
        model.save(temporary)


def set_weights(model: KerasModel, weights: list[Any]) -> None:
    """Set the model's weights and update the state that layers derive from them."""
    model.set_weights(weights)
    for layer in model._flatten_layers():  # noqa: SLF001
        if hasattr(layer, "finalize_state"):  # an adapted Normalization
            layer.finalize_state()


def predict(model: KerasModel, images: NDArray[Any]) -> NDArray[np.float32]:
    """The model's outputs, float32 [N, classes], for raw images, uint8 [N, height, width, channels].

    Raises ModelError if the model can't be run.
    """
    try:
        with suppress_output():
            outputs: NDArray[Any] = model.predict(images, batch_size=500, verbose=0)
            return outputs.astype(np.float32, copy=False)
    except Exception as error:  # a layer may raise any type of exception
        message = one_line(error, MAX_MESSAGE)
        raise ModelError(f"cannot run the model: {message}", "check that model.predict works in Keras") from error


@dataclass(frozen=True)
class LayerSummary:
    """A row of a model's summary."""

    name: str
    kind: str  # class name in keras.layers
    output_shape: tuple[int, ...]  # without the batch dimension
    parameters: int
    macs: int


def summarize(model: KerasModel) -> tuple[LayerSummary, ...]:
    """The summary of each layer of the model."""
    return tuple(
        LayerSummary(
            name=layer.name,
            kind=type(layer).__name__,
            output_shape=tuple(layer.output.shape[1:]),
            parameters=layer.count_params(),
            macs=_layer_macs(layer),
        )
        for layer in model.layers
    )


def count_parameters(model: KerasModel) -> int:
    """The number of parameters at inference, after batch normalization was folded into the layer before it."""
    total, previous = 0, None
    for layer in model.layers:
        is_batch_norm = type(layer).__name__ == "BatchNormalization"
        total += _folded_parameters(layer, previous) if is_batch_norm else layer.count_params()
        previous = layer
    return total


def _folded_parameters(batch_norm: Any, previous: Any) -> int:
    """The number of parameters that folding a batch normalization into the previous layer adds."""
    channels: int = batch_norm.output.shape[-1]
    if not hasattr(previous, "use_bias"):  # not foldable: a scale and an offset for each channel remain
        return 2 * channels
    return 0 if previous.use_bias else channels  # folding adds a bias if the previous layer has none


def count_macs(model: KerasModel) -> int:
    """The multiply-accumulate operations of one inference.

    Each element of a weight of two or more dimensions counts once for each output position.
    """
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: Any) -> int:
    if hasattr(layer, "layers"):
        return count_macs(_with_fixed_input_shape(layer))
    kind = type(layer).__name__
    weights: int = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    if not weights or kind == "PReLU":
        return 0
    shape: tuple[int, ...] = (layer.input if kind == "Conv2DTranspose" else layer.output).shape[1:]
    channels_first = getattr(layer, "data_format", "") == "channels_first"
    return weights * math.prod(shape[1:] if channels_first else shape[:-1])


def _with_fixed_input_shape(model: KerasModel) -> KerasModel:
    """A nested model, whose input shape may be variable, rebuilt for the shape of its actual input."""
    if None not in model.inputs[0].shape[1:]:
        return model
    keras = import_keras()
    shape = model._inbound_nodes[-1].input_tensors[0].shape[1:]  # noqa: SLF001
    return keras.models.clone_model(model, input_tensors=keras.Input(shape))
