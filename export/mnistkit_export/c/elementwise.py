"""Kernels that compute each activation by itself: sums, means and functions of one value."""

import math
from collections.abc import Sequence

import numpy as np

from mnistkit_export.c.fixed_point import fixed_point
from mnistkit_export.c.kernel import PARAMETERS, Kernel, array, each_pixel, generate, indent, pixel_at, plus, shape_text
from mnistkit_export.c.lookup_tables import tables
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Add, Layer, Lookup, Mean
from mnistkit_export.c.requantization import float_text

ADD_SHIFT = 20  # TFLite's reference addition scales its inputs by 2^20


@generate.register
def _(layer: Add, sources: Sequence[View], target: View) -> Kernel:
    float_scale, fixed_point_sum = _xnnpack_sum(layer), _reference_sum(layer)
    pixels = [
        f"const act *{name} = {pixel_at(f'in{n}', view)};"
        for n, (name, view) in enumerate(zip("ab", sources, strict=True))
    ]
    body = [
        "(void)scratch;",
        *each_pixel(
            target,
            *pixels,
            f"for (int c = 0; c < {target.pixel}; c++)",
            f"    to[c] = clamp(sum_of_two(a[c] - OFFSET, b[c] - OFFSET, &{layer.name}_sum) + {layer.output.zero}, "
            f"{layer.limits.low}, {layer.limits.high});",
        ),
    ]
    constants = f"#if FLOAT_SCALE\n{float_scale}#else\n{fixed_point_sum}#endif\n"
    parameters = "const act *in0, const act *in1, act *out, act *scratch"
    return _kernel(layer, "sum", constants, parameters, body)


@generate.register
def _(layer: Mean, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    height, width, _ = source.shape
    count, (activation,), output = height * width, layer.inputs, layer.output
    # XNNPACK keeps the zero points out of the integer sum.
    scale = (np.float32(activation.scale) / np.float32(output.scale)) * (np.float32(1) / np.float32(count))
    bias = np.float32(output.zero) - (np.float32(count) * np.float32(activation.zero)) * scale
    multiplier, shift = fixed_point(activation.scale / output.scale)
    fold = min(count.bit_length() - 1, 32, 31 + shift)  # the division by the count, in the multiplier
    multiplier, shift = (multiplier << fold) // count, shift - fold
    image = f"{plus('in', source.start)}, {height}, {width}, {source.row}, {source.pixel}"
    result = f"{plus('out', target.start)}, {target.pixel}"
    body = [
        "(void)scratch;",
        "#if FLOAT_SCALE",
        f"mean({image}, {result}, {float_text(scale)}, {float_text(bias)});",
        "#else",
        f"mean({image}, {result}, {activation.zero}, {multiplier}, {shift}, {output.zero});",
        "#endif",
    ]
    return _kernel(layer, "mean", "", PARAMETERS, body)


@generate.register
def _(layer: Lookup, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    results = tables(layer)
    constants = "".join(
        [
            "#if FLOAT_SCALE\n",
            array("int8_t", f"{layer.name}_table", [str(value) for value in results.float_scale]),
            "#else\n",
            array("int8_t", f"{layer.name}_table", [str(value) for value in results.fixed_point]),
            "#endif\n",
        ]
    )
    body = [
        "(void)scratch;",
        *each_pixel(
            target,
            f"const act *from = {pixel_at('in', source)};",
            f"for (int c = 0; c < {target.pixel}; c++)",
            f"    to[c] = (act)({layer.name}_table[from[c] - OFFSET + 128] + OFFSET);",
        ),
    ]
    return _kernel(layer, layer.kind, constants, PARAMETERS, body)


def _kernel(layer: Layer, kind: str, constants: str, parameters: str, body: list[str]) -> Kernel:
    comment = f"{kind}, {' and '.join(map(shape_text, layer.inputs))} -> {shape_text(layer.output)}"
    function = f"NOINLINE void {layer.name}({parameters})\n{{\n{indent(body)}\n}}\n"
    return Kernel(layer.name, comment, constants, function)


def _xnnpack_sum(layer: Add) -> str:
    """The constants of XNNPACK's addition (xnn_init_qs8_add_minmax_scalar_params): (a × A + b × B + bias) >> shift."""
    ratios = [np.float32(one.scale) / np.float32(layer.output.scale) for one in layer.inputs]
    shift = 20 - (math.frexp(float(max(ratios)))[1] - 1)
    multipliers = [int(np.rint(math.ldexp(float(ratio), shift))) for ratio in ratios]
    bias = (1 << (shift - 1)) - sum(m * one.zero for m, one in zip(multipliers, layer.inputs, strict=True))
    return f"static const addition {layer.name}_sum = {{{multipliers[0]}, {multipliers[1]}, {bias}, {shift}}};\n"


def _reference_sum(layer: Add) -> str:
    """The constants of TFLite's reference addition (tensorflow/lite/kernels/add.cc)."""
    twice = 2 * max(one.scale for one in layer.inputs)
    a, b = (fixed_point(one.scale / twice) for one in layer.inputs)
    total = fixed_point(twice / ((1 << ADD_SHIFT) * layer.output.scale))
    zeros = [one.zero for one in layer.inputs]
    values = (zeros[0], *a, zeros[1], *b, *total)
    return f"static const addition {layer.name}_sum = {{{', '.join(map(str, values))}}};\n"
