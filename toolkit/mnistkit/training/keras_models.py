"""Keras models: import of Keras without log output, prediction, and counts of parameters and MACs."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import ModelError, one_line
from mnistkit.core.images import Images
from mnistkit.core.native_output import suppress_output
from mnistkit.core.packages import missing_package
from mnistkit.data.dataset import Dataset

BATCH_SIZE = 500  # of predictions
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


def leaf_layers(model: KerasModel) -> Iterator[Any]:
    """The layers of a model and of the models nested in it, in order."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from leaf_layers(layer)
        else:
            yield layer


def predict(model: KerasModel, images: Images | NDArray[np.float32]) -> NDArray[np.float32]:
    """The model's outputs, float32 [N, classes], for N inputs. Raises ModelError if the model can't be run."""
    try:
        with suppress_output():
            # For few images predict_on_batch takes a third of the time of predict, for many the same.
            outputs = [
                model.predict_on_batch(images[start : start + BATCH_SIZE])
                for start in range(0, len(images), BATCH_SIZE)
            ]
            return np.concatenate(outputs).astype(np.float32, copy=False)
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
