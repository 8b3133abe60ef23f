"""The results of functions of one value, for all 256 values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.expf import expf
from mnistkit_export.c.fixed_point import fixed_point, multiply_rounded_twice
from mnistkit_export.c.network import HIGHEST, LOWEST, Lookup, six

Values = NDArray[np.int64]
STORED = np.arange(LOWEST, HIGHEST + 1)


@dataclass(frozen=True)
class Tables:
    """The results for -128 to 127, int8 [256], with XNNPACK's arithmetic and with that of the reference kernels."""

    float_scale: NDArray[np.int8]
    fixed_point: NDArray[np.int8]


def tables(layer: Lookup) -> Tables:
    """The tables of a layer."""
    match layer.kind:
        case "logistic":
            results = _logistic(layer)
        case "mul":
            results = _multiplied(layer)
        case "quantize":
            results = _rescaled(layer)
        case _:
            rectified = _rectified(layer)
            results = rectified, rectified  # XNNPACK leaves it to TFLite's kernels
    return Tables(*(np.clip(values, LOWEST, HIGHEST).astype(np.int8) for values in results))


def _rectified(layer: Lookup) -> Values:
    """Another scale, with the limits of relu or relu6."""
    source, output = layer.inputs[0], layer.output
    # TFLite divides in float32 here.
    multiplier, shift = fixed_point(float(np.float32(source.scale) / np.float32(output.scale)))
    rescaled = [multiply_rounded_twice(int(q) - source.zero, multiplier, shift) + output.zero for q in STORED]
    return np.clip(rescaled, output.zero, six(output).fixed_point if layer.kind == "relu6" else HIGHEST)


def _rescaled(layer: Lookup) -> tuple[Values, Values]:
    """Another scale. XNNPACK computes it with 8 fractional bits."""
    source, output = layer.inputs[0], layer.output
    scale = int(np.rint(256 * (np.float32(source.scale) / np.float32(output.scale))))
    in_8_bits: Values = ((STORED - source.zero) * scale + 128 >> 8) + output.zero
    multiplier, shift = fixed_point(source.scale / output.scale)
    exact = [multiply_rounded_twice(int(q) - source.zero, multiplier, shift) + output.zero for q in STORED]
    return in_8_bits, np.array(exact)


def _multiplied(layer: Lookup) -> tuple[Values, Values]:
    """The product with a constant."""
    source, output = layer.inputs[0], layer.output
    products = (STORED - source.zero) * layer.factor
    scale = np.float32(source.scale) * np.float32(layer.factor_scale) / np.float32(output.scale)
    in_float: Values = np.rint(products.astype(np.float32) * scale).astype(np.int64) + output.zero
    multiplier, shift = fixed_point(source.scale * layer.factor_scale / output.scale)
    in_fixed = [multiply_rounded_twice(int(value), multiplier, shift) + output.zero for value in products]
    return in_float, np.array(in_fixed)


def _logistic(layer: Lookup) -> tuple[Values, Values]:
    """The logistic function with the output scale 1/256: XNNPACK in double, TFLite in float32."""
    source = layer.inputs[0]
    x = (STORED - source.zero).astype(np.float32) * np.float32(source.scale)
    powers = np.exp(np.clip(x.astype(np.float64), -700, 700))
    in_double = (powers / (1 + powers)).astype(np.float32)
    in_float = np.float32(1) / (np.float32(1) + expf(-x))
    halves_to_even: Values = np.rint(in_double * np.float32(256) - np.float32(128)).astype(np.int64)
    halves_up: Values = np.floor((in_float * np.float32(256)).astype(np.float64) + 0.5).astype(np.int64) - 128
    return halves_to_even, halves_up
