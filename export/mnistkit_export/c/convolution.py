"""Convolutions and dense layers: rows of inputs times rows of weights, tile by tile."""

from collections.abc import Sequence
from dataclasses import replace

from mnistkit_export.c import blank, weights
from mnistkit_export.c.kernel import PARAMETERS, Kernel, Tile, generate, indent, plus, shape_text
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Convolution
from mnistkit_export.c.requantization import declare_requantization
from mnistkit_export.c.rows import Rows, clear_patches, copy_patch, each_tile_of_channels, rows_of, spans


@generate.register
def _(layer: Convolution, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    rows = rows_of(layer, source)
    if layer.background and layer.blank_output:
        kernel = blank.skip_pixels(layer, rows, source, target, layer.background)
    elif layer.background:
        kernel = blank.skip_positions(layer, rows, source, target, layer.background)
    else:
        kernel = _plain(layer, rows, source, target)
    constants = weights.declare(f"{layer.name}_weights", rows.weights) + declare_requantization(layer, rows.weights)
    return replace(kernel, comment=f"{_comment(layer)}{kernel.comment}", constants=constants + kernel.constants)


def _comment(layer: Convolution) -> str:
    height, width = layer.window.kernel
    kind = "dense layer" if layer.dense else f"{height}x{width} convolution"
    pooling = ", each the maximum of 2x2" if layer.pooled else ""
    return f"{kind}, {shape_text(layer.inputs[0])} -> {shape_text(layer.output)}{pooling}; {layer.macs:,} MACs"


def _plain(layer: Convolution, rows: Rows, source: View, target: View) -> Kernel:
    """The kernel that computes every output."""
    tiles, row_function = _row_function(layer, rows, target)
    first = f"{plus('in', source.at(-layer.window.padding[0], -layer.window.padding[2]))} + y * {rows.step}"
    lines = [f"for (int y = 0; y < {layer.output.shape[0]}; y++) {{"]
    if rows.patch:
        lines = [*clear_patches(rows), *lines, *(f"    {line}" for line in _copy_patches(layer, rows, source, first))]
        first = "scratch"
    lines += [
        f"    const input *x = widened({plus('scratch', rows.patches_size)}, {first}, {rows.size});",
        f"    act *row = {plus('out', target.start)} + y * {target.row};",
        *(f"    {line}" for line in each_tile_of_channels(layer, "x, row")),
        "}",
    ]
    body = indent(["(void)scratch;", *lines])
    function = f"{row_function}NOINLINE void {layer.name}({PARAMETERS})\n{{\n{body}\n}}\n"
    return Kernel(layer.name, "", "", function, rows.scratch, tiles)


def _row_function(layer: Convolution, rows: Rows, target: View) -> tuple[frozenset[Tile], str]:
    """The function that computes `channels` channels of a row of output pixels from channel c on."""
    width = layer.output.shape[1]
    common = (
        f"{rows.weights.shape[1]}, READ({rows.inputs}), {rows.stride},\n            {rows.weights_at(layer.name)}, "
        f"&{layer.name}_requantization, c, channels, out + c + i * {target.pixel}"
    )
    lines = []
    if layer.pooled:
        tiles = frozenset({Tile(4, pooled=True)})
        lines.append(f"for (int i = 0; i < {width}; i++)")
        offsets = f"{rows.pixel}, {rows.below}, {rows.pixel + rows.below}"
        lines.append(f"    convolve_maximum_4(x + i * {2 * rows.pixel}, {offsets}, {common});")
    else:
        tiles = frozenset(Tile(pixels, pooled=False) for _, _, pixels in spans(width))
        for start, count, pixels in spans(width):
            offsets = "".join(f"{p * rows.pixel}, " for p in range(1, pixels))
            lines.append(f"for (int i = {start}; i < {start + count * pixels}; i += {pixels})")
            lines.append(f"    convolve_{pixels}(x + i * {rows.pixel}, {offsets}{common}, {target.pixel});")
    head = f"INLINE void {layer.name}_row(const input *x, act *out, int c, int channels)\n{{\n"
    return tiles, f"{head}{indent(lines)}\n}}\n"


def _copy_patches(layer: Convolution, rows: Rows, source: View, first: str) -> list[str]:
    """The loops that copy the inputs of each output pixel of a row into a patch."""
    pool = 2 if layer.pooled else 1
    window = layer.window
    pixel = f"from + r * {window.strides[0] * source.row} + i * {window.strides[1] * source.pixel}"
    return [
        f"const act *from = {first};",
        "act *to = scratch;",
        f"for (int r = 0; r < {pool}; r++)",
        f"    for (int i = 0; i < {layer.output.shape[1] * pool}; i++, to += {rows.pixel})",
        *(f"        {line}" for line in copy_patch(layer, source, "to", pixel)),
    ]
