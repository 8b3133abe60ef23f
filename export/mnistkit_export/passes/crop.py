"""Crops borders of the image that do not affect the output, because valid pooling and striding discard them.

From the last layer to the first, each layer's needed input size is computed from its needed output size. Where that is
smaller than the input, the remaining rows and columns are cropped before they are computed.
"""

from typing import Any

from mnistkit.training.keras_models import import_keras
from mnistkit_export.passes.sequential import LayerSpec

# Layers whose output at a position depends only on the input at that position.
POINTWISE = ("Activation", "BatchNormalization", "ELU", "LeakyReLU", "Normalization", "ReLU", "Rescaling", "Softmax")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
POOLINGS = ("MaxPooling2D", "AveragePooling2D")

Size = tuple[int, ...]  # rows and columns; shorter for tensors that are not images


def crop(layers: list[LayerSpec]) -> list[LayerSpec]:
    """Insert a cropping layer wherever it makes a convolution compute less."""
    needed = _needed_sizes(layers)
    result: list[LayerSpec] = []
    saves_work = False  # whether a crop before the current layer makes a convolution compute less
    for i in reversed(range(len(layers))):
        layer = layers[i]
        shrinks = layer.kind in CONVOLUTIONS and needed[i + 1] != _output_size(layer)
        saves_work = not _blocks_cropping(layer) and (saves_work or shrinks)
        result.insert(0, layer)
        if saves_work and (i == 0 or _blocks_cropping(layers[i - 1])):
            result.insert(0, _cropping(i, layer.input_shape, needed[i]))
    return result


def _needed_sizes(layers: list[LayerSpec]) -> list[Size]:
    """The needed input size of each layer, then the output size of the last layer."""
    sizes = [_output_size(layers[-1])] if layers else []
    for layer in reversed(layers):
        blocked = _blocks_cropping(layer)
        sizes.insert(0, tuple(layer.input_shape[:2]) if blocked else _needed_input(layer, sizes[0]))
    return sizes


def _output_size(layer: LayerSpec) -> Size:
    return tuple(layer.output_shape[:2])


def _blocks_cropping(layer: LayerSpec) -> bool:
    """Whether the layer needs its whole input, or pads it."""
    config = layer.config
    if len(layer.input_shape) != 3 or config.get("data_format") == "channels_first":
        return True
    if layer.kind in POINTWISE:
        return not _is_pointwise(config)
    return layer.kind not in CONVOLUTIONS + POOLINGS or config["padding"] != "valid"


def _is_pointwise(config: dict[str, Any]) -> bool:
    """Whether a layer in POINTWISE is configured to work along channels, equally at every position."""
    axis = config.get("axis", -1)
    along_channels = axis in (-1, 3) or axis in ([-1], [3], (-1,), (3,))
    return along_channels and all(isinstance(config.get(key, 1), int | float) for key in ("scale", "offset"))


def _needed_input(layer: LayerSpec, output: Size) -> Size:
    """The needed input size: (output − 1)·stride + (window − 1)·dilation + 1 in each dimension."""
    if layer.kind in POINTWISE:
        return output
    config = layer.config
    window = config["pool_size"] if layer.kind in POOLINGS else config["kernel_size"]
    dilation = config.get("dilation_rate", (1, 1))
    return tuple(
        (output[axis] - 1) * config["strides"][axis] + (window[axis] - 1) * dilation[axis] + 1 for axis in (0, 1)
    )


def _cropping(position: int, shape: tuple[int, ...], needed: Size) -> LayerSpec:
    rows, columns = shape[0] - needed[0], shape[1] - needed[1]
    config = {"name": f"crop_{position}", "cropping": ((0, rows), (0, columns)), "data_format": "channels_last"}
    return LayerSpec(import_keras().layers.Cropping2D, config, (), shape, (*needed, *shape[2:]))
