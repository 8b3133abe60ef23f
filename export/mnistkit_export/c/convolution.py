"""Convolutions and dense layers: rows of inputs times rows of weights, tile by tile.

The inputs of an output pixel are one contiguous row for each row of the kernel. Where these are short, or the kernel is
dilated, they are copied next to each other first: one row, a patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c import weights
from mnistkit_export.c.kernel import PARAMETERS, Kernel, Tile, generate, indent, plus, shape_text
from mnistkit_export.c.memory import SLACK, View
from mnistkit_export.c.network import Convolution
from mnistkit_export.c.requantization import declare_requantization

MOST_PIXELS = 4  # of a tile
SHORT_ROW = 64  # bytes; shorter rows that do not fill vectors of 16 are copied into patches


@dataclass(frozen=True)
class Rows:
    """How the inputs of a row of output pixels are read; all distances are bytes."""

    weights: NDArray[np.int8]  # [output channels, rows, inputs]
    stride: int  # from a row of inputs to the next
    pixel: int  # from the inputs of a conv output to those of its right neighbor
    below: int  # from the inputs of a conv output to those of the one below
    step: int  # from a row of output pixels to the next
    size: int  # bytes that a row of output pixels reads
    patch: bool

    @property
    def inputs(self) -> int:
        """The length of a row of inputs, in whole words."""
        return weights.padded(self.weights.shape[2], 4)


@generate.register
def _(layer: Convolution, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    rows = _rows(layer, source)
    tiles, row_function = _row_function(layer, rows, target)
    body, scratch = _body(layer, rows, source, target)
    function = f"{row_function}NOINLINE void {layer.name}({PARAMETERS})\n{{\n    (void)scratch;\n{indent(body)}\n}}\n"
    height, width = layer.window.kernel
    kind = "dense layer" if layer.dense else f"{height}x{width} convolution"
    pooling = ", each the maximum of 2x2" if layer.pooled else ""
    comment = f"{kind}, {shape_text(layer.inputs[0])} -> {shape_text(layer.output)}{pooling}; {layer.macs:,} MACs"
    constants = weights.declare(f"{layer.name}_weights", rows.weights) + declare_requantization(layer, rows.weights)
    return Kernel(layer.name, comment, constants, function, scratch, tiles)


def _rows(layer: Convolution, source: View) -> Rows:
    window, pool = layer.window, 2 if layer.pooled else 1
    kernel = np.zeros((*layer.weights.shape[:3], source.pixel), np.int8)  # the channels as they are stored
    kernel[..., : layer.weights.shape[3]] = layer.weights
    run = kernel.shape[2] * source.pixel
    down, right = window.strides[0] * source.row, window.strides[1] * source.pixel
    step = down * pool
    whole_image = window.kernel == source.shape[:2] and not any(window.padding)
    if whole_image and source.contiguous and window.dilation == (1, 1):
        flat = kernel.reshape(len(kernel), 1, -1)
        return Rows(flat, flat.shape[2], 0, 0, step, flat.shape[2], patch=False)
    if window.dilation[1] == 1 and (run % 16 == 0 or run >= SHORT_ROW):
        size = ((pool - 1) * window.strides[0] + window.extent[0]) * source.row
        per_row = kernel.reshape(len(kernel), kernel.shape[1], -1)
        return Rows(per_row, source.row * window.dilation[0], right, down, step, size, patch=False)
    flat = kernel.reshape(len(kernel), 1, -1)
    patch = weights.padded(flat.shape[2] + 3, 16)  # copies of whole words end up to 3 bytes later
    columns = target_columns(layer)
    return Rows(
        flat, weights.padded(flat.shape[2], 4), patch, patch * columns, step, patch * columns * pool, patch=True
    )


def target_columns(layer: Convolution) -> int:
    """The columns of the convolution's output before pooling that are needed."""
    return layer.output.shape[1] * (2 if layer.pooled else 1)


def _row_function(layer: Convolution, rows: Rows, target: View) -> tuple[frozenset[Tile], str]:
    """The function that computes `channels` channels of a row of output pixels from channel c on."""
    count, inputs = rows.weights.shape[1], rows.inputs
    word_bytes, row_bytes = (count * weights.padded(rows.weights.shape[2], size) for size in (4, 16))
    width = layer.output.shape[1]
    common = (
        f"{count}, READ({inputs}), {rows.stride},\n            "
        f"WEIGHTS_AT({layer.name}_weights, c, {word_bytes}, {row_bytes}), {16 * word_bytes}, "
        f"&{layer.name}_requantization, c, channels,\n            out + i * {target.pixel}"
    )
    lines = []
    if layer.pooled:
        tiles = frozenset({Tile(4, pooled=True)})
        lines.append(f"for (int i = 0; i < {width}; i++)")
        offsets = f"{rows.pixel}, {rows.below}, {rows.pixel + rows.below}"
        lines.append(f"    convolve_maximum_4(x + i * {2 * rows.pixel}, {offsets}, {common});")
    else:
        spans = _spans(width)
        tiles = frozenset(Tile(pixels, pooled=False) for _, pixels in spans)
        start = 0
        for repeats, pixels in spans:
            end = start + repeats * pixels
            lines.append(f"for (int i = {start}; i < {end}; i += {pixels})")
            offsets = "".join(f"{p * rows.pixel}, " for p in range(1, pixels))
            lines.append(f"    convolve_{pixels}(x + i * {rows.pixel}, {offsets}{common}, {target.pixel});")
            start = end
    head = f"INLINE void {layer.name}_row(const input *x, act *out, int c, int channels)\n{{\n"
    return tiles, f"{head}{indent(lines)}\n}}\n"


def _body(layer: Convolution, rows: Rows, source: View, target: View) -> tuple[list[str], int]:
    """The lines of the function, and the bytes of scratch memory that it needs."""
    origin = source.at(-layer.window.padding[0], -layer.window.padding[2])
    first = f"{plus('in', origin)} + y * {rows.step}"
    patches = weights.padded(rows.size + SLACK, 64) if rows.patch else 0
    channels = weights.padded(layer.output.shape[2], 4)
    lines = [f"for (int y = 0; y < {layer.output.shape[0]}; y++) {{"]
    if rows.patch:
        lines += [f"    {line}" for line in _copy_patches(layer, rows, source, first)]
        first = "scratch"
    lines += [
        f"    const input *x = widened({plus('scratch', patches)}, {first}, {rows.size});",
        f"    act *row = {plus('out', target.start)} + y * {target.row};",
        f"    for (int c = 0; c + TILE <= {channels}; c += TILE)",
        f"        {layer.name}_row(x, row + c, c, TILE);",
        f"    if ({channels} % TILE)",
        f"        {layer.name}_row(x, row + {channels} / TILE * TILE, {channels} / TILE * TILE, {channels} % TILE);",
        "}",
    ]
    return lines, patches + 2 * (rows.size + SLACK)  # widened activations take two bytes


def _copy_patches(layer: Convolution, rows: Rows, source: View, first: str) -> list[str]:
    """The loops that copy the inputs of each output pixel of a row into a patch."""
    window = layer.window
    height, width = window.kernel
    down, right = window.dilation[0] * source.row, window.dilation[1] * source.pixel
    pixel = f"from + r * {window.strides[0] * source.row} + i * {window.strides[1] * source.pixel}"
    if window.dilation[1] == 1:
        copies = [f"copy_runs(to, {pixel}, {height}, {width * source.pixel}, {down});"]
    else:
        run = f"to + k * {width * source.pixel}, {pixel} + k * {down}, {width}, {source.pixel}, {right}"
        copies = [f"for (int k = 0; k < {height}; k++)", f"    copy_runs({run});"]
    return [
        f"const act *from = {first};",
        "act *to = scratch;",
        f"for (int r = 0; r < {2 if layer.pooled else 1}; r++)",
        f"    for (int i = 0; i < {target_columns(layer)}; i++, to += {rows.pixel})",
        *(f"        {line}" for line in copies),
    ]


def _spans(width: int) -> list[tuple[int, int]]:
    """The tiles of a row, as (number of tiles, pixels): as few as possible, as equal as possible."""
    count = -(-width // MOST_PIXELS)
    pixels, larger = divmod(width, count)
    return [span for span in ((larger, pixels + 1), (count - larger, pixels)) if span[0]]
