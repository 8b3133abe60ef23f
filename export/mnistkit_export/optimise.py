"""Exact work on the Keras model before it is converted: the same answers from a graph that runtimes like better."""

from __future__ import annotations

from typing import Any

from mnistkit.keras_models import KerasModel, import_keras


def optimise(model: KerasModel) -> KerasModel:
    """A copy of the model that gives the same outputs, ready for the converters."""
    keras = import_keras()
    copy = keras.models.clone_model(model, clone_function=_replaced)
    copy.set_weights(model.get_weights())
    return copy


def _replaced(layer: Any) -> Any:
    """The layer, or one that says the same in operators that convert well."""
    layers = import_keras().layers
    calls = {layers.Flatten: _flatten, layers.UnitNormalization: _unit_normalize}
    kind: Any = type(layer)
    if kind in calls and getattr(layer, "data_format", "") != "channels_first":  # that one transposes as well
        kind = type(kind.__name__, (kind,), {"call": calls[kind]})
    return kind.from_config(layer.get_config())


def _flatten(layer: Any, inputs: Any) -> Any:
    """As a reshape to the constant (-1, n).

    Keras reads the batch from the input instead. That leaves shape arithmetic in the graph, which splits
    the delegate in two, or, at a fixed batch, a constant that forbids any other.
    """
    return import_keras().ops.reshape(inputs, (-1, layer.compute_output_shape(inputs.shape)[1]))


def _unit_normalize(layer: Any, inputs: Any) -> Any:
    """As x · rsqrt(max(Σx², ε²)), which is Keras's x · min(rsqrt(Σx²), 1/ε).

    LiteRT's rsqrt of 0 is no number, and along the last axis this is the form that becomes one operator.
    """
    import tensorflow as tf

    epsilon = 1e-12  # Keras's own
    squares = tf.reduce_sum(tf.square(inputs), axis=layer.axis, keepdims=True)
    return inputs * tf.math.rsqrt(tf.maximum(squares, epsilon**2))
