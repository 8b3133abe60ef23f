"""Optimizes the graph of a Keras model before conversion, without changing its outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit_export.passes.crop import crop
from mnistkit_export.passes.fold import fold
from mnistkit_export.passes.sequential import LayerSpec, rebuild, to_layer_specs
from mnistkit_export.tensor_names import to_converter_name

TRAINING_LAYERS = ("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity",
                 "SpatialDropout2D", "AugMix", "CutMix", "MixUp", "RandAugment")  # fmt: skip


def remove_training_layers(layers: list[LayerSpec]) -> list[LayerSpec]:
    """Remove the layers that have no effect in inference."""
    return [layer for layer in layers if not _is_training_layer(layer.kind)]


def _is_training_layer(kind: str) -> bool:
    # In inference, RandomCrop crops at the center.
    return kind in TRAINING_LAYERS or (kind.startswith("Random") and kind != "RandomCrop")


FREEZE_SHAPES = "shapes frozen"
PASSES: dict[str, Callable[[list[LayerSpec]], list[LayerSpec]]] = {
    "training-only layers removed": remove_training_layers,
    "scaling and batch normalization folded": fold,
    "unused borders cropped": crop,
}


@dataclass(frozen=True)
class PreparedModel:
    """A copy of a model that is ready for conversion, with the same outputs."""

    model: KerasModel
    layers: tuple[str, ...]  # converter names
    passes: tuple[str, ...]  # that changed it


def optimize(model: KerasModel) -> PreparedModel:
    """Optimize a copy of the model. If its layers do not form a sequence, only shapes are frozen."""
    applied = [FREEZE_SHAPES]
    optimized = model
    if layers := to_layer_specs(model):
        for name, apply in PASSES.items():
            before, layers = layers, apply(layers)
            if layers != before:
                applied.append(name)
        optimized = rebuild(layers, tuple(model.inputs[0].shape[1:]), model.name)
    return _copy(optimized, _freeze_shapes, tuple(applied))


def copy_unchanged(model: KerasModel) -> PreparedModel:
    """Copy the model without optimization."""
    return _copy(model, _rename, ())


def _copy(model: KerasModel, copy_layer: Callable[[Any], Any], passes: tuple[str, ...]) -> PreparedModel:
    copy = import_keras().models.clone_model(model, clone_function=copy_layer, recursive=True)
    keras_models.set_weights(copy, model.get_weights())
    return PreparedModel(copy, tuple(layer.name for layer in keras_models.leaf_layers(copy)), passes)


def _rename(layer: Any, layer_class: Any = None) -> Any:
    config = layer.get_config() | {"name": to_converter_name(layer.name), "dtype": "float32"}
    return (layer_class or type(layer)).from_config(config)


def _freeze_shapes(layer: Any) -> Any:
    """Copy the layer; replace its computation if the converters would compute shapes or statistics at run time."""
    layers = import_keras().layers
    calls = {layers.Flatten: _flatten, layers.Normalization: _normalize, layers.UnitNormalization: _unit_normalize}
    layer_class: Any = type(layer)
    # Flatten also transposes if channels come first.
    if layer_class in calls and getattr(layer, "data_format", "") != "channels_first":
        layer_class = type(layer_class.__name__, (layer_class,), {"call": calls[layer_class]})
    return _rename(layer, layer_class)


def _flatten(layer: Any, inputs: Any) -> Any:
    """Flatten with a reshape to the constant shape (-1, n).

    Keras computes the batch size from the input: this adds shape arithmetic to the graph, which splits it into two
    delegate partitions, or, for a fixed batch size, a constant that prevents other batch sizes.
    """
    return import_keras().ops.reshape(inputs, (-1, layer.compute_output_shape(inputs.shape)[1]))


def _normalize(layer: Any, inputs: Any) -> Any:
    """Normalize with constants: the converter to ONNX turns tensors that a layer keeps into inputs of the model."""
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # the epsilon of Keras
    return inputs * deviation + mean if layer.invert else (inputs - mean) * (1 / deviation)


def _unit_normalize(layer: Any, inputs: Any) -> Any:
    """Compute x · rsqrt(max(Σx², ε²)), which equals Keras's x · min(rsqrt(Σx²), 1/ε).

    LiteRT's rsqrt(0) is not a number, and this form becomes a single operator along the last axis. Keras's ε is 1e-12;
    this one is the smallest whose square a float16 file can store, and differs only for vectors shorter than itself.
    """
    import tensorflow as tf

    epsilon = 2.5e-4
    squares = tf.reduce_sum(tf.square(inputs), axis=layer.axis, keepdims=True)
    return inputs * tf.math.rsqrt(tf.maximum(squares, epsilon**2))
