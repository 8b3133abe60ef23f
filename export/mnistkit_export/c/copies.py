"""Kernels that only move activations: concatenation, padding, slices, flattening."""

from collections.abc import Sequence

from mnistkit_export.c.kernel import PARAMETERS, Kernel, each_pixel, generate, indent, pixel_at, plus, shape_text
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Concatenation, Flatten, Layer, Pad, Slice


@generate.register
def _(layer: Concatenation, sources: Sequence[View], target: View) -> Kernel:
    parameters = ", ".join(f"const act *in{number}" for number in range(len(sources)))
    lines, channel = [], 0
    for number, (activation, source) in enumerate(zip(layer.inputs, sources, strict=True)):
        channels = activation.shape[2]
        lines += each_pixel(
            target, f"copy_bytes({plus('to', channel)}, {pixel_at(f'in{number}', source)}, {channels});"
        )
        channel += channels
    return _kernel(layer, "concatenation", lines, f"{parameters}, act *out, act *scratch")


@generate.register
def _(layer: Pad, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    top, _, left, _ = layer.padding
    moved = View(target.buffer, target.at(top, left), target.row, target.pixel, source.shape)
    lines = each_pixel(moved, f"copy_bytes(to, {pixel_at('in', source)}, {source.shape[2]});")
    return _kernel(layer, "padding", lines)


@generate.register
def _(layer: Slice, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    begin_y, begin_x, begin_channel = layer.begin
    step_y, step_x, step_channel = layer.strides
    start = source.at(begin_y, begin_x) + begin_channel
    pixel = f"{plus('in', start)} + y * {step_y * source.row} + x * {step_x * source.pixel}"
    channels = layer.output.shape[2]
    lines = each_pixel(target, f"for (int c = 0; c < {channels}; c++)", f"    to[c] = ({pixel})[c * {step_channel}];")
    return _kernel(layer, "slice", lines)


@generate.register
def _(layer: Flatten, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    height, width, channels = source.shape
    flat = View(target.buffer, target.start, width * channels, channels, (height, width, channels))
    lines = each_pixel(flat, f"copy_bytes(to, {pixel_at('in', source)}, {channels});")
    return _kernel(layer, "flatten", lines)


def _kernel(layer: Layer, kind: str, lines: list[str], parameters: str = PARAMETERS) -> Kernel:
    comment = f"{kind}, {' and '.join(map(shape_text, layer.inputs))} -> {shape_text(layer.output)}"
    body = indent(["(void)scratch;", *lines])
    return Kernel(layer.name, comment, "", f"NOINLINE void {layer.name}({parameters})\n{{\n{body}\n}}\n")
