"""Depthwise convolutions: each channel by itself."""

from collections.abc import Sequence

import numpy as np

from mnistkit_export.c.kernel import PARAMETERS, Kernel, array, each_pixel, generate, indent, plus, shape_text
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Depthwise
from mnistkit_export.c.requantization import CHANNELS, declare_requantization
from mnistkit_export.c.weights import padded


@generate.register
def _(layer: Depthwise, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    window, name = layer.window, layer.name
    height, width, channels = layer.weights.shape
    stored = padded(channels, CHANNELS)
    weights = np.zeros((height, width, stored), np.int8)
    weights[:, :, :channels] = layer.weights
    multiplier = channels // layer.inputs[0].shape[2]
    origin = source.at(-window.padding[0], -window.padding[2])
    pixel = f"{plus('in', origin)} + y * {window.strides[0] * source.row} + x * {window.strides[1] * source.pixel}"
    distances = f"{window.dilation[0] * source.row}, {window.dilation[1] * source.pixel}"
    function = "depthwise" if multiplier == 1 else "depthwise_multiplied"
    ratio = "" if multiplier == 1 else f"{multiplier}, "
    call = (
        f"{function}({pixel}, {height}, {width}, {distances}, {name}_weights, {stored}, "
        f"{ratio}&{name}_requantization, to, {target.pixel});"
    )
    body = indent(["(void)scratch;", *each_pixel(target, call)])
    constants = array("int8_t", f"{name}_weights", [str(weight) for weight in weights.ravel()])
    constants += declare_requantization(layer, layer.weights.transpose(2, 0, 1))
    shapes = f"{shape_text(layer.inputs[0])} -> {shape_text(layer.output)}"
    comment = f"{height}x{width} depthwise convolution, {shapes}; {layer.macs:,} MACs"
    return Kernel(name, comment, constants, f"NOINLINE void {name}({PARAMETERS})\n{{\n{body}\n}}\n")
