"""Finds the layer that a format can't express, by converting each layer alone."""

import inspect
from collections.abc import Callable
from typing import Any

from mnistkit.training.keras_models import KerasModel, import_keras, leaf_layers
from mnistkit_export.tensor_names import to_layer_name

# Options that every layer has, or that do not select an operator.
COMMON_OPTIONS = ("name", "dtype", "trainable", "activation", "use_bias", "data_format")


def find_unsupported_layer(model: KerasModel, convert: Callable[[KerasModel], object]) -> str | None:
    """The first layer of the model on which `convert` fails, such as "conv2d_3 (Conv2D, groups=4)"; None if none does.

    Layers with several inputs are not tried.
    """
    keras = import_keras()
    for layer in leaf_layers(model):
        tensor = _only_input(layer)
        if tensor is None:
            continue
        copy = type(layer).from_config(layer.get_config())
        alone = keras.Sequential([keras.Input(tensor.shape[1:], name="image"), copy])
        copy.set_weights(layer.get_weights())
        try:
            convert(alone)
        except Exception:  # converters raise exceptions of any type
            return _describe(layer)
    return None


def _only_input(layer: Any) -> Any:
    tensors = layer._inbound_nodes[0].input_tensors if layer._inbound_nodes else []  # noqa: SLF001
    return tensors[0] if len(tensors) == 1 and None not in tensors[0].shape[1:] else None


def _describe(layer: Any) -> str:
    """The name and class of the layer, and the options that differ from their defaults."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(type(layer).__init__).parameters.items()
    }
    options = [
        f"{name}={value}"
        for name, value in layer.get_config().items()
        if isinstance(value, str | int | float) and name not in COMMON_OPTIONS
        if defaults.get(name, inspect.Parameter.empty) not in (value, inspect.Parameter.empty)
    ]
    return f"{to_layer_name(layer.name)} ({', '.join([type(layer).__name__, *options])})"
