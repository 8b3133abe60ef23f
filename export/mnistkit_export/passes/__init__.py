"""Exact work on the Keras model before it is converted: the same answers from a graph that runtimes like better."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit_export.passes.crop import crop
from mnistkit_export.passes.fold import fold
from mnistkit_export.passes.sequential import LayerSpec, rebuild, to_layer_specs
from mnistkit_export.tensor_names import to_converter_name

TRAINING_LAYERS = ("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity",
                 "SpatialDropout2D", "AugMix", "CutMix", "MixUp", "RandAugment")  # fmt: skip


def remove_training_layers(stages: list[LayerSpec]) -> list[LayerSpec]:
    """The stages without those that do something in training alone."""
    return [stage for stage in stages if not _for_training(stage.name)]


def _for_training(kind: str) -> bool:
    # RandomCrop crops at its middle where nothing is trained.
    return kind in TRAINING_LAYERS or (kind.startswith("Random") and kind != "RandomCrop")


PASSES: dict[str, Callable[[list[LayerSpec]], list[LayerSpec]]] = {
    "training leftovers removed": remove_training_layers,
    "scales and normalisations folded into weights": fold,
    "dead borders cropped": crop,
}
FREEZE_SHAPES = "shapes made constant"


@dataclass(frozen=True)
class PreparedModel:
    """A model that gives the same outputs, ready for the converters, and what was done to it."""

    model: KerasModel
    layers: tuple[str, ...]  # their traceable names
    passes: tuple[str, ...]


def optimize(model: KerasModel) -> PreparedModel:
    """A copy of the model, leaner. Only shapes are made constant where its layers don't stand in one line."""
    steps = [FREEZE_SHAPES]
    lean = model
    if stages := to_layer_specs(model):
        for name, step in PASSES.items():
            before, stages = stages, step(stages)
            if stages != before:
                steps.append(name)
        lean = rebuild(stages, tuple(model.inputs[0].shape[1:]), model.name)
    return _copy(lean, _replaced, tuple(steps))


def with_softmax(model: KerasModel) -> KerasModel:
    """The model, which ends in logits, with a softmax after them."""
    keras = import_keras()
    softmax = keras.layers.Softmax(name="softmax")
    if isinstance(model, keras.Sequential):
        return keras.Sequential([model.inputs[0], *model.layers, softmax], name=model.name)
    return keras.Model(model.inputs, softmax(model.outputs[0]), name=model.name)


def copy_unchanged(model: KerasModel) -> PreparedModel:
    """A copy of the model as it is, to compare with."""
    return _copy(model, _renamed, ())


def _copy(model: KerasModel, change: Callable[[Any], Any], steps: tuple[str, ...]) -> PreparedModel:
    copy = import_keras().models.clone_model(model, clone_function=change, recursive=True)
    keras_models.set_weights(copy, model.get_weights())
    return PreparedModel(copy, tuple(_names(copy)), steps)


def _names(model: KerasModel) -> Iterator[str]:
    for layer in model.layers:
        yield from _names(layer) if hasattr(layer, "layers") else [layer.name]


def _renamed(layer: Any, kind: Any = None) -> Any:
    return (kind or type(layer)).from_config(
        layer.get_config() | {"name": to_converter_name(layer.name), "dtype": "float32"}
    )


def _replaced(layer: Any) -> Any:
    """The layer, or one that says the same in operators that convert well."""
    layers = import_keras().layers
    calls = {
        layers.Flatten: _flatten,
        layers.Normalization: _normalize,
        layers.UnitNormalization: _unit_normalize,
    }
    kind: Any = type(layer)
    if kind in calls and getattr(layer, "data_format", "") != "channels_first":  # that one transposes as well
        kind = type(kind.__name__, (kind,), {"call": calls[kind]})
    return _renamed(layer, kind)


def _flatten(layer: Any, inputs: Any) -> Any:
    """As a reshape to the constant (-1, n).

    Keras reads the batch from the input instead. That leaves shape arithmetic in the graph, which splits
    the delegate in two, or, at a fixed batch, a constant that forbids any other.
    """
    return import_keras().ops.reshape(inputs, (-1, layer.compute_output_shape(inputs.shape)[1]))


def _normalize(layer: Any, inputs: Any) -> Any:
    """With mean and variance as constants of the graph: what a layer keeps as tensors, ONNX takes for inputs."""
    import numpy as np

    mean, variance = (np.asarray(part) for part in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # Keras's own epsilon
    return inputs * deviation + mean if layer.invert else (inputs - mean) * (1 / deviation)


def _unit_normalize(layer: Any, inputs: Any) -> Any:
    """As x · rsqrt(max(Σx², ε²)), which is Keras's x · min(rsqrt(Σx²), 1/ε).

    LiteRT's rsqrt of 0 is no number, and along the last axis this is the form that becomes one operator.
    """
    import tensorflow as tf

    epsilon = 1e-12  # Keras's own
    squares = tf.reduce_sum(tf.square(inputs), axis=layer.axis, keepdims=True)
    return inputs * tf.math.rsqrt(tf.maximum(squares, epsilon**2))
