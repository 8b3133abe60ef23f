"""Exact work on the Keras model before it is converted: the same answers from a graph that runtimes like better."""

from __future__ import annotations

from typing import Any

from mnistkit.keras_models import KerasModel, import_keras


def optimise(model: KerasModel) -> KerasModel:
    """A copy of the model that gives the same outputs, ready for the converters."""
    keras = import_keras()
    copy = keras.models.clone_model(model, clone_function=_with_constant_shape)
    copy.set_weights(model.get_weights())
    return copy


def _with_constant_shape(layer: Any) -> Any:
    """Flatten as a reshape to the constant (-1, n).

    Keras reads the batch from the input instead. That leaves shape arithmetic in the graph, which splits
    the delegate in two, or, at a fixed batch, a constant that forbids any other.
    """
    keras = import_keras()
    if type(layer) is not keras.layers.Flatten:
        return layer.__class__.from_config(layer.get_config())

    flatten: Any = keras.layers.Flatten

    class ConstantFlatten(flatten):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any) -> Any:
            return keras.ops.reshape(inputs, (-1, self.compute_output_shape(inputs.shape)[1]))

    return ConstantFlatten.from_config(layer.get_config())
