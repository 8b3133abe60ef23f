"""The results of functions of one value, for all 256 values."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.fixed_point import fixed_point, multiply_rounded_twice
from mnistkit_export.c.network import HIGHEST, LOWEST, Lookup

STORED = np.arange(LOWEST, HIGHEST + 1)


@dataclass(frozen=True)
class Tables:
    """The results for -128 to 127, int8 [256], with XNNPACK's arithmetic and with that of the reference kernels."""

    float_scale: NDArray[np.int8]
    fixed_point: NDArray[np.int8]


def tables(layer: Lookup) -> Tables:
    """The tables of a layer."""
    if layer.kind == "logistic":
        return _logistic(layer)
    return _multiplied(layer) if layer.kind == "mul" else _rescaled(layer)


def _multiplied(layer: Lookup) -> Tables:
    """The product with a constant."""
    source, output = layer.inputs[0], layer.output
    products = (STORED - source.zero) * layer.factor
    scale = np.float32(source.scale) * np.float32(layer.factor_scale) / np.float32(output.scale)
    in_float = np.rint(products.astype(np.float32) * scale).astype(np.int64) + output.zero
    multiplier, shift = fixed_point(source.scale * layer.factor_scale / output.scale)
    in_fixed = [multiply_rounded_twice(int(value), multiplier, shift) + output.zero for value in products]
    return Tables(*(np.clip(values, LOWEST, HIGHEST).astype(np.int8) for values in (in_float, in_fixed)))


def _rescaled(layer: Lookup) -> Tables:
    """Another scale, with the limits of an activation function."""
    source, output = layer.inputs[0], layer.output
    low = max(output.zero, LOWEST) if layer.kind.startswith("relu") else LOWEST
    six = output.zero + round_half_away(float(np.float32(6) / np.float32(output.scale)))
    high = min(six, HIGHEST) if layer.kind == "relu6" else HIGHEST
    multiplier, shift = fixed_point(source.scale / output.scale)
    exact = [multiply_rounded_twice(int(q) - source.zero, multiplier, shift) + output.zero for q in STORED]
    rounded = _relu6(layer) if layer.kind == "relu6" else _rescaled_in_8_bits(layer)
    return Tables(*(np.clip(values, low, high).astype(np.int8) for values in (rounded, exact)))


def _rescaled_in_8_bits(layer: Lookup) -> NDArray[np.int64]:
    """Another scale as XNNPACK computes it, with 8 fractional bits (its conversions and rectifications of int8)."""
    source, output = layer.inputs[0], layer.output
    scale = int(np.rint(256 * (np.float32(source.scale) / np.float32(output.scale))))
    rescaled: NDArray[np.int64] = ((STORED - source.zero) * scale + 128 >> 8) + output.zero
    return rescaled


def _relu6(layer: Lookup) -> NDArray[np.int64]:
    """Relu6 as XNNPACK computes it: in float32."""
    source, output = layer.inputs[0], layer.output
    values = (STORED - source.zero).astype(np.float32) * np.float32(source.scale)
    limited = np.clip(values, np.float32(0), np.float32(6)) * (np.float32(1) / np.float32(output.scale))
    rescaled: NDArray[np.int64] = np.rint(limited).astype(np.int64) + output.zero
    return rescaled


def _logistic(layer: Lookup) -> Tables:
    source = layer.inputs[0]
    x = (STORED - source.zero).astype(np.float32) * np.float32(source.scale)
    y = 1 / (1 + np.exp(-x.astype(np.float64)))
    values = np.clip(np.floor(y.astype(np.float32) * np.float32(256) + np.float32(0.5)) - 128, LOWEST, HIGHEST)
    return Tables(values.astype(np.int8), values.astype(np.int8))


def round_half_away(x: float) -> int:
    """The nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))
