"""Splits a sequential model into layer specs, which passes can change, and rebuilds it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.training.keras_models import KerasModel, import_keras, set_weights
from mnistkit_export.tensor_names import INPUT, unique_names


@dataclass(frozen=True, eq=False)  # comparing arrays gives no single truth value
class LayerSpec:
    """An unbuilt layer: its class, configuration and weights, and the shapes in the model that it was taken from."""

    layer_class: Any  # a subclass of keras.Layer
    config: dict[str, Any]
    weights: tuple[NDArray[np.float32], ...]
    input_shape: tuple[int, ...]  # without the batch dimension
    output_shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return str(self.layer_class.__name__)


def to_layer_specs(model: KerasModel) -> list[LayerSpec] | None:
    """Split a model, including nested models, into layers; None if the layers do not form a sequence."""
    try:
        layers = list(_sequence(model))
    except ValueError:
        return None
    if len({id(layer) for layer in layers}) < len(layers):  # a layer is used twice
        return None
    # Rebuild the model for its shapes: a nested model may not know the size of its input.
    unshaped = [LayerSpec(type(layer), layer.get_config(), tuple(layer.get_weights()), (), ()) for layer in layers]
    rebuilt = rebuild(unshaped, tuple(model.inputs[0].shape[1:]), model.name)
    return [
        LayerSpec(
            type(layer), layer.get_config(), spec.weights, tuple(layer.input.shape[1:]), tuple(layer.output.shape[1:])
        )
        for layer, spec in zip(rebuilt.layers, unshaped, strict=True)
    ]


def _sequence(model: KerasModel) -> Iterator[Any]:
    """The layers, including those of nested models; raises ValueError if they do not form a sequence."""
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    if not isinstance(model, import_keras().Sequential):
        _check_sequence(model, layers)
    for layer in layers:
        yield from _sequence(layer) if hasattr(layer, "layers") else [layer]


def _check_sequence(model: KerasModel, layers: list[Any]) -> None:
    tensor = model.inputs[0]
    for layer in layers:
        calls = [node for node in layer._inbound_nodes if any(read is tensor for read in node.input_tensors)]  # noqa: SLF001
        if len(calls) != 1 or len(calls[0].input_tensors) != 1 or len(calls[0].output_tensors) != 1:
            raise ValueError(layer.name)
        tensor = calls[0].output_tensors[0]
    if tensor is not model.outputs[0]:
        raise ValueError(model.name)


def rebuild(layers: Iterable[LayerSpec], image_shape: tuple[int, ...], name: str) -> KerasModel:
    """Build a float32 model for raw images of shape (height, width, channels) from layer specs."""
    keras = import_keras()
    layers, unique = list(layers), unique_names()
    built = [
        layer.layer_class.from_config(layer.config | {"name": unique(layer.config["name"]), "dtype": "float32"})
        for layer in layers
    ]
    model = keras.Sequential([keras.Input(image_shape, name=INPUT), *built], name=name)
    set_weights(model, [weight for layer in layers for weight in layer.weights])
    return model
