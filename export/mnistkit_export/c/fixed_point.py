"""Fixed-point arithmetic of TFLite's kernels, for tables: numbers of 32 bits that saturate.

The names are those of gemmlowp (fixedpoint/fixedpoint.h), which TFLite's kernels use.
"""

import math

LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1
INTEGER_BITS = 5  # of the exponents: -32 to 0
# e^-(1/4), e^-(1/2) ... e^-16 with 31 fractional bits
POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
EXP_MINUS_EIGHTH, THIRD = 1895147668, 715827883


def fixed_point(scale: float) -> tuple[int, int]:
    """The multiplier and shift with scale = multiplier × 2^(shift − 31), 2^30 <= multiplier < 2^31.

    TFLite's QuantizeMultiplier (tensorflow/lite/kernels/internal/quantization_util.cc).
    """
    fraction, shift = math.frexp(scale)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def multiply_rounded_twice(x: int, multiplier: int, shift: int) -> int:
    """X × multiplier × 2^(shift − 31), with a rounding after the multiplication and another after the division."""
    return _divide(_multiply(x << max(shift, 0), multiplier), max(-shift, 0))


def exp_table(scale: float) -> list[int]:
    """exp(-scale × d) with 31 fractional bits for d = 0 to 255, as TFLite's reference int8 softmax computes it.

    tensorflow/lite/kernels/internal/reference/softmax.h
    """
    multiplier, shift = fixed_point(min(scale * (1 << (31 - INTEGER_BITS)), float(HIGHEST)))
    lowest = -math.floor(((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS)) / (1 << shift))
    return [_exp(_multiply(_saturate(-d << shift), multiplier)) if -d >= lowest else 0 for d in range(256)]


def _exp(x: int) -> int:
    """e^x for x <= 0 with 5 integer bits."""
    if x == 0:
        return HIGHEST
    fraction = 31 - INTEGER_BITS
    quarter = 1 << (fraction - 2)
    in_quarter = (x & (quarter - 1)) - quarter
    result, rest = _exp_of_quarter(in_quarter << INTEGER_BITS), in_quarter - x
    for exponent, power in enumerate(POWERS, -2):
        if exponent < INTEGER_BITS and rest & (1 << (fraction + exponent)):
            result = _multiply(result, power)
    return result


def _exp_of_quarter(x: int) -> int:
    """e^x for -1/4 <= x < 0 with 31 fractional bits: a polynomial around -1/8."""
    y = x + (1 << 28)
    square = _multiply(y, y)
    cube, fourth = _multiply(square, y), _divide(_multiply(square, square), 2)
    half = _divide(_saturate(_multiply(_saturate(fourth + cube), THIRD) + square), 1)
    return _saturate(EXP_MINUS_EIGHTH + _multiply(EXP_MINUS_EIGHTH, _saturate(y + half)))


def _saturate(x: int) -> int:
    return max(LOWEST, min(HIGHEST, x))


def _multiply(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: a × b / 2^31."""
    product = a * b
    rounded = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return _saturate(rounded >> 31 if rounded >= 0 else -(-rounded >> 31))


def _divide(x: int, exponent: int) -> int:
    """RoundingDivideByPOT: x / 2^exponent, halves away from zero."""
    mask = (1 << exponent) - 1
    return (x >> exponent) + int((x & mask) > (mask >> 1) + int(x < 0))
