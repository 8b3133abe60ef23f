"""Gives a Keras model an output of class probabilities, and finds the logits behind them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import ModelError
from mnistkit.core.images import Images
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit_export.passes.sequential import rebuild, to_layer_specs

PROBED_IMAGES = 100  # images on which outputs are checked to be probabilities
ACTIVATIONS = ("softmax", "sigmoid", "linear")
MIN_PROBABILITY = 1e-38  # keeps the logarithm of a float32 probability finite
KERAS_EPSILON = 1e-7  # smallest probability in Keras's cross-entropy


@dataclass(frozen=True)
class ProbabilityModel:
    """A model that maps images to probabilities [N, classes], and one that maps the same images to logits."""

    model: KerasModel
    logits: KerasModel | None  # None if the probabilities are not the softmax of a tensor of the model
    changes: tuple[str, ...]  # to the outputs of the Keras model

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.model.outputs[0].shape[1])

    def predict(self, images: Images | NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities and logits, float32 [N, classes]; without logits in the model, the log of the probabilities.

        Raises ModelError if the model can't be run or its outputs are not finite.
        """
        outputs = keras_models.predict(self.logits or self.model, images)
        if not np.isfinite(outputs).all():
            raise ModelError("the model's outputs are not finite", "train it again")
        if self.logits is None:
            return outputs, np.log(np.maximum(outputs, MIN_PROBABILITY))
        return np.asarray(import_keras().ops.softmax(outputs)), outputs


def to_probability_model(model: KerasModel, image: NDArray[Any]) -> ProbabilityModel:
    """Make the output of `model` probabilities: add a softmax to logits, and turn one sigmoid unit into two classes.

    `image`, float32 [N, ...] in the shape of the input, shows what an unknown activation returns. Raises ModelError if
    the outputs are no probabilities and can't be made so.
    """
    activation, logits = _split_activation(model)
    one_unit = model.outputs[0].shape[1] == 1
    if activation == "softmax" and not one_unit:
        return ProbabilityModel(model, logits, ())
    if one_unit and logits and activation != "softmax":
        two_classes = _two_classes(logits)
        return ProbabilityModel(_with_softmax(two_classes), two_classes, ("one output turned into two classes",))
    if not one_unit and _are_probabilities(keras_models.predict(model, image)):
        return ProbabilityModel(model, None, ())
    if activation == "linear" and not one_unit:
        return ProbabilityModel(_with_softmax(model), model, ("softmax added",))
    raise ModelError("the model's outputs are not probabilities", "add a softmax at its end")


def _are_probabilities(outputs: NDArray[np.float32]) -> bool:
    return bool(outputs.min() >= 0 and abs(outputs.sum(axis=1) - 1).max() < 1e-3)


def _split_activation(model: KerasModel) -> tuple[str, KerasModel | None]:
    """The model's last activation, and the model without it; the latter is None if that can't be had.

    The activation is "softmax", "sigmoid", "linear", or "" for another.
    """
    keras = import_keras()
    layer, node_index, _ = model.outputs[0]._keras_history  # noqa: SLF001
    if hasattr(layer, "layers") and (specs := to_layer_specs(model)):  # the last layer is a model: make them one
        model = rebuild(specs, tuple(model.inputs[0].shape[1:]), model.name)
        layer, node_index, _ = model.outputs[0]._keras_history  # noqa: SLF001
    kind, activation = type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", "linear")
    tensors = layer._inbound_nodes[node_index].input_tensors  # noqa: SLF001
    if kind == "Softmax":
        return ("softmax", keras.Model(model.inputs, tensors[0])) if layer.axis in (-1, 1) else ("", None)
    if activation not in ACTIVATIONS or hasattr(layer, "layers"):
        return "", None
    if activation == "linear":
        return activation, model
    if kind == "Activation":
        return activation, keras.Model(model.inputs, tensors[0])
    linear = type(layer).from_config(layer.get_config() | {"activation": "linear"})
    logits = keras.Model(model.inputs, linear(*tensors))
    linear.set_weights(layer.get_weights())
    return activation, logits


def _two_classes(logit: KerasModel) -> KerasModel:
    """The logits [0, z] of two classes for a model that outputs the logit z of the second."""
    keras = import_keras()
    layer, node_index, _ = logit.outputs[0]._keras_history  # noqa: SLF001
    if type(layer).__name__ == "Dense" and not getattr(layer, "quantization_mode", None):
        tensor, weights = layer._inbound_nodes[node_index].input_tensors[0], layer.get_weights()  # noqa: SLF001
        wide = keras.layers.Dense(2, use_bias=layer.use_bias, name=layer.name)
    else:
        tensor, weights = logit.outputs[0], [np.ones((1, 1), np.float32)]
        wide = keras.layers.Dense(2, use_bias=False, name="two_classes")
    model = keras.Model(logit.inputs, wide(tensor), name=logit.name)
    wide.set_weights([np.insert(weight, 0, 0, axis=-1) for weight in weights])
    return model


def _with_softmax(logits: KerasModel) -> KerasModel:
    keras = import_keras()
    softmax = keras.layers.Softmax(name="softmax")
    if isinstance(logits, keras.Sequential):
        return keras.Sequential([logits.inputs[0], *logits.layers, softmax], name=logits.name)
    return keras.Model(logits.inputs, softmax(logits.outputs[0]), name=logits.name)


def cross_entropy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The cross-entropy of each image, float64 [N] in nats, of probabilities [N, classes]."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(of_label, KERAS_EPSILON))
