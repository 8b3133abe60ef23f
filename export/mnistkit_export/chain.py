"""A sequential network taken apart into stages, which can be changed and put together again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistkit.keras_models import KerasModel, import_keras

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)  # arrays have no one truth
class Stage:
    """A layer that is not built: what it is, how it is set, what it has learnt."""

    kind: Any  # a Keras layer's class
    config: dict[str, Any]
    weights: tuple[NDArray[np.float32], ...]
    input_shape: tuple[int, ...]  # where it was taken from, without the batch
    output_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of the layer's class."""
        return str(self.kind.__name__)


def take_apart(model: KerasModel) -> list[Stage] | None:
    """The stages of a model whose layers stand in one line, models within it taken apart too; None for any other."""
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    if not isinstance(model, import_keras().Sequential) and not _stand_in_line(model, layers):
        return None
    stages: list[Stage] = []
    for layer in layers:
        inner = take_apart(layer) if hasattr(layer, "layers") else [_stage(layer)]
        if inner is None:
            return None
        stages += inner
    return stages


def _stand_in_line(model: KerasModel, layers: list[Any]) -> bool:
    tensor = model.inputs[0]
    for layer in layers:
        try:
            follows = layer.input is tensor
        except (AttributeError, ValueError):  # it is used more than once
            return False
        if not follows:
            return False
        tensor = layer.output
    return tensor is model.outputs[0]


def _stage(layer: Any) -> Stage:
    return Stage(
        type(layer),
        layer.get_config(),
        tuple(layer.get_weights()),
        tuple(layer.input.shape[1:]),
        tuple(layer.output.shape[1:]),
    )


def put_together(stages: Iterable[Stage], image_shape: tuple[int, ...], name: str) -> KerasModel:
    """The stages as a model for raw images of this shape."""
    keras = import_keras()
    stages = list(stages)
    layers = [stage.kind.from_config(stage.config) for stage in stages]
    model = keras.Sequential([keras.Input(image_shape, name="image"), *layers], name=name)
    for layer, stage in zip(layers, stages, strict=True):
        layer.set_weights(stage.weights)
    return model
