"""A sequential network taken apart into stages, which can be changed and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistkit.training.keras_models import KerasModel, import_keras, set_weights
from mnistkit_export.tensor_names import unique_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)  # arrays have no one truth
class LayerSpec:
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


def to_layer_specs(model: KerasModel) -> list[LayerSpec] | None:
    """The stages of a model whose layers stand in one line, models within it taken apart too; None for any other."""
    try:
        layers = list(_in_line(model))
    except ValueError:
        return None
    if len({id(layer) for layer in layers}) < len(layers):  # one is used twice
        return None
    # Put together anew, for the shapes: a model within a model may not know the size of its own.
    stages = [LayerSpec(type(layer), layer.get_config(), tuple(layer.get_weights()), (), ()) for layer in layers]
    rebuilt = rebuild(stages, tuple(model.inputs[0].shape[1:]), model.name)
    return [
        LayerSpec(
            type(layer),
            layer.get_config(),
            stage.weights,
            tuple(layer.input.shape[1:]),
            tuple(layer.output.shape[1:]),
        )
        for layer, stage in zip(rebuilt.layers, stages, strict=True)
    ]


def _in_line(model: KerasModel) -> Iterator[Any]:
    """The layers, those of models within the model too; raises ValueError where they don't stand in one line."""
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    if not isinstance(model, import_keras().Sequential):
        _check_line(model, layers)
    for layer in layers:
        yield from _in_line(layer) if hasattr(layer, "layers") else [layer]


def _check_line(model: KerasModel, layers: list[Any]) -> None:
    tensor = model.inputs[0]
    for layer in layers:
        takes = [node for node in layer._inbound_nodes if any(given is tensor for given in node.input_tensors)]  # noqa: SLF001
        if len(takes) != 1 or len(takes[0].input_tensors) != 1 or len(takes[0].output_tensors) != 1:
            raise ValueError(layer.name)
        tensor = takes[0].output_tensors[0]
    if tensor is not model.outputs[0]:
        raise ValueError(model.name)


def rebuild(stages: Iterable[LayerSpec], image_shape: tuple[int, ...], name: str) -> KerasModel:
    """The stages as a model in float32 for raw images of this shape."""
    keras = import_keras()
    stages, unique = list(stages), unique_names()
    layers = [
        stage.kind.from_config(stage.config | {"name": unique(stage.config["name"]), "dtype": "float32"})
        for stage in stages
    ]
    model = keras.Sequential([keras.Input(image_shape, name="image"), *layers], name=name)
    set_weights(model, [weight for stage in stages for weight in stage.weights])
    return model
