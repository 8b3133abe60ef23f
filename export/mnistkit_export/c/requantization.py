"""How the sums of a convolution become activations: the scales in floating point and in fixed point."""

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.fixed_point import fixed_point, multiply_rounded_twice
from mnistkit_export.c.kernel import array
from mnistkit_export.c.network import Background, Convolution, Depthwise, fail

CHANNELS = 16  # arrays are filled up to a multiple, the channels of the widest vector
LARGEST_SUM = 1 << 31


def declare_requantization(layer: Convolution | Depthwise, weights: NDArray[np.int8]) -> str:
    """The constant <layer>_requantization and its arrays; `weights` is [output channels, ...] as stored.

    The zero point of the input goes into the bias. Raises ExportError if a sum may be too large.
    """
    source, output, name = layer.inputs[0], layer.output, layer.name
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    sums, bias = flat.sum(axis=1), layer.bias.astype(np.int64)
    scales = _scales(layer)
    largest = np.abs(flat).sum(axis=1) * 255 + np.abs(bias)
    if (largest * np.maximum(scales, 1) >= LARGEST_SUM).any():
        raise fail(name, "its sums may not fit in 32 bits")
    reals = [source.scale * float(scale) / output.scale for scale in layer.weight_scales]
    filler = ["0"] * (-len(weights) % CHANNELS)
    dense = isinstance(layer, Convolution) and layer.dense
    kind = "REQUANTIZATION_IN_DOUBLE" if dense else "REQUANTIZATION"
    biases = [f"BIAS({b - source.zero * s}, {s})" for b, s in zip(bias, sums, strict=True)]
    limits = f"{output.zero}, {layer.limits.low}, {layer.limits.high}"
    parts = [
        array("int32_t", f"{name}_bias", biases + filler),
        "#if FLOAT_SCALE\n",
        array("float", f"{name}_scale", [float_text(scale) for scale in scales] + filler),
        "#else\n",
        array("double", f"{name}_real", [*map(repr, reals), *filler]) if dense else _fixed(name, reals, filler),
        "#endif\n",
        f"static const requantization {name}_requantization = {kind}({name}, {limits});\n",
    ]
    return "".join(parts)


def requantize(layer: Convolution, sums: NDArray[np.int64]) -> Background:
    """The outputs of a convolution for sums [output channels] of weights and stored inputs, in both roundings."""
    source, output = layer.inputs[0], layer.output
    flat = layer.weights.reshape(len(layer.weights), -1).astype(np.int64).sum(axis=1)
    values = sums + layer.bias - source.zero * flat
    in_float = np.rint(values.astype(np.float32) * _scales(layer)).astype(np.int64)
    reals = (source.scale * float(scale) / output.scale for scale in layer.weight_scales)
    in_fixed = [
        multiply_rounded_twice(int(value), *fixed_point(real)) for value, real in zip(values, reals, strict=True)
    ]
    low, high = layer.limits.low, layer.limits.high
    return Background(
        np.clip(in_float + output.zero, low, high.float_scale).astype(np.int8),
        np.clip(np.array(in_fixed) + output.zero, low, high.fixed_point).astype(np.int8),
    )


def _fixed(name: str, scales: list[float], filler: list[str]) -> str:
    """The arrays of multipliers and shifts."""
    fixed = [fixed_point(scale) for scale in scales]
    multipliers = array("int32_t", f"{name}_multiplier", [str(multiplier) for multiplier, _ in fixed] + filler)
    return multipliers + array("int32_t", f"{name}_shift", [str(shift) for _, shift in fixed] + filler)


def _scales(layer: Convolution | Depthwise) -> NDArray[np.float32]:
    """The scale of each output channel; XNNPACK multiplies in this order in float32, TFLite in float64."""
    scales: NDArray[np.float32] = (
        np.float32(layer.inputs[0].scale) * layer.weight_scales / np.float32(layer.output.scale)
    )
    return scales


def float_text(value: float | np.float32) -> str:
    """A float32 as a C constant: nine digits give it back exactly."""
    text = f"{float(value):.9g}"
    return f"{text}f" if set(text) & set(".e") else f"{text}.0f"
