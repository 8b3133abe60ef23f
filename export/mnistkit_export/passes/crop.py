"""Crops what an image's borders never get to say: valid pooling and striding throw rows and columns away.

From the last stage to the first, each says how many rows and columns of its input those that are needed of its
output come from. Where that is less than there is, the rest is cut off before anything is computed from it.
"""

from __future__ import annotations

from typing import Any

from mnistkit.training.keras_models import import_keras
from mnistkit_export.passes.sequential import LayerSpec

# They make each value from the one in its place, or from the channels there.
POINTWISE = ("Activation", "BatchNormalization", "ELU", "LeakyReLU", "Normalization", "ReLU", "Rescaling", "Softmax")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
POOLINGS = ("MaxPooling2D", "AveragePooling2D")

Size = tuple[int, ...]  # rows and columns, where there are any


def crop(stages: list[LayerSpec]) -> list[LayerSpec]:
    """The stages, with a cropping wherever it spares a convolution work."""
    needs = _needs(stages)
    cropped: list[LayerSpec] = []
    spares = False
    for i in reversed(range(len(stages))):
        stage = stages[i]
        spares = not _blocks_cropping(stage) and (
            spares or (stage.name in CONVOLUTIONS and needs[i + 1] != _out(stage))
        )
        cropped.insert(0, stage)
        if spares and (i == 0 or _blocks_cropping(stages[i - 1])):
            cropped.insert(0, _cropping(i, stage.input_shape, needs[i]))
    return cropped


def _needs(stages: list[LayerSpec]) -> list[Size]:
    """How much of the input of each stage is needed, and, last, of the output of the last one."""
    needs = [_out(stages[-1])] if stages else []
    for stage in reversed(stages):
        needs.insert(0, tuple(stage.input_shape[:2]) if _blocks_cropping(stage) else _needed_input(stage, needs[0]))
    return needs


def _out(stage: LayerSpec) -> Size:
    return tuple(stage.output_shape[:2])


def _blocks_cropping(stage: LayerSpec) -> bool:
    """Whether the stage needs all of its input, or pads it, so that nothing may be cut off before it."""
    config = stage.config
    if len(stage.input_shape) != 3 or config.get("data_format") == "channels_first":
        return True
    if stage.name in POINTWISE:
        return not _is_pointwise(config)
    return stage.name not in CONVOLUTIONS + POOLINGS or config["padding"] != "valid"


def _is_pointwise(config: dict[str, Any]) -> bool:
    """Whether a layer of a pointwise kind is so as it is set: along channels, and the same everywhere."""
    axis = config.get("axis", -1)
    along_channels = axis in (-1, 3) or axis in ([-1], [3], (-1,), (3,))
    return along_channels and all(isinstance(config.get(key, 1), int | float) for key in ("scale", "offset"))


def _needed_input(stage: LayerSpec, output: Size) -> Size:
    """(output − 1)·stride + (window − 1)·dilation + 1, each way."""
    if stage.name in POINTWISE:
        return output
    config = stage.config
    window = config["pool_size"] if stage.name in POOLINGS else config["kernel_size"]
    dilation = config.get("dilation_rate", (1, 1))
    return tuple(
        (output[axis] - 1) * config["strides"][axis] + (window[axis] - 1) * dilation[axis] + 1 for axis in (0, 1)
    )


def _cropping(position: int, shape: tuple[int, ...], needed: Size) -> LayerSpec:
    rows, columns = (has - need for has, need in zip(shape[:2], needed, strict=True))
    config = {"name": f"crop_{position}", "cropping": ((0, rows), (0, columns)), "data_format": "channels_last"}
    return LayerSpec(import_keras().layers.Cropping2D, config, (), shape, (*needed, *shape[2:]))
