"""The kernels of convolutions that skip blank inputs: see background.py.

Which pixels are drawn is kept in a word for each row, a bit for each column.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.kernel import PARAMETERS, Kernel, Tile, array, indent, plus
from mnistkit_export.c.memory import SLACK, View
from mnistkit_export.c.network import Background, Convolution
from mnistkit_export.c.rows import MOST_PIXELS, Rows, copy_patch, each_tile_of_channels, spans
from mnistkit_export.c.weights import padded

DRAWN_BYTES = 4 * 32  # of the rows of a layer's output
COMMENT = ", fewer where the image is background"


def skip_pixels(layer: Convolution, rows: Rows, source: View, target: View, background: Background) -> Kernel:
    """The kernel that copies a constant pixel wherever all inputs are background, and marks where they are not.

    The patches of the pixels that it computes stand one after the other; without pooling so do the results at first.
    """
    height, width, channels = layer.output.shape
    stored, (step_y, step_x) = padded(channels, 4), _steps(layer)
    (rows_read, columns_read), strides = layer.window.kernel, layer.window.strides
    rows_read, columns_read = rows_read + step_y - strides[0], columns_read + step_x - strides[1]
    copies, patch = _copy_patches(layer, rows, source)
    patches = padded(patch * padded(width, MOST_PIXELS) + SLACK, 64)
    packed = 3 * patches  # behind the patches, and these widened to 16 bits
    results = "row" if layer.pooled else f"scratch + {packed}"
    image = f"{plus('in', source.start)}, {source.shape[0]}, {source.row}, {source.shape[1]}"
    lines = [
        f"fill(scratch, 0, {patches});",
        f"uint32_t image[{source.shape[0]}], *drawn = (uint32_t *)(void *)marks;",
        f"mark_drawn(image, {image}, {int(background.float_scale[0])});",
        f"for (int y = 0; y < {height}; y++) {{",
        f"    const uint32_t any = any_drawn(image + y * {step_y}, {rows_read}, {columns_read});",
        f"    const act *from = {plus('in', source.start)} + y * {rows.step};",
        f"    act *row = {plus('out', target.start)} + y * {target.row}, *to = scratch;",
        f"    uint8_t computed[{width}];",
        "    int n = 0;",
        "    drawn[y] = 0;",
        f"    for (int i = 0; i < {width}; i++)",
        f"        if (any >> i * {step_x} & 1) {{",
        *(f"            {line}" for line in copies),
        f"            to += {patch};",
        "            computed[n++] = (uint8_t)i;",
        "            drawn[y] |= (uint32_t)1 << i;",
        "        } else {",
        f"            copy_bytes(row + i * {target.pixel}, {layer.name}_blank, {stored});",
        "        }",
        f"    const input *x = widened(scratch + {patches}, scratch, n * {patch});",
        *(f"    {line}" for line in each_tile_of_channels(layer, f"x, {results}, computed, n")),
    ]
    if not layer.pooled:
        lines += [
            "    for (int k = 0; k < n; k++)",
            f"        copy_bytes(row + computed[k] * {target.pixel}, {results} + k * {stored}, {stored});",
        ]
    tile, row_function = _computed_row(layer, rows, target)
    function = f"{row_function}NOINLINE void {layer.name}({PARAMETERS}, act *marks)\n{{\n{indent([*lines, '}'])}\n}}\n"
    scratch = packed + (0 if layer.pooled else stored * padded(width, MOST_PIXELS) + SLACK)
    marks = f"{layer.output.name} drawn"
    return Kernel(layer.name, COMMENT, _blank_pixel(layer), function, scratch, frozenset({tile}), marks)


def _steps(layer: Convolution) -> tuple[int, int]:
    """The rows and columns of the input from an output pixel to the next."""
    pool = 2 if layer.pooled else 1
    return layer.window.strides[0] * pool, layer.window.strides[1] * pool


def _copy_patches(layer: Convolution, rows: Rows, source: View) -> tuple[list[str], int]:
    """The lines that copy the patches of output pixel i, and their bytes."""
    pool = 2 if layer.pooled else 1
    down, right = layer.window.strides[0] * source.row, layer.window.strides[1] * source.pixel
    first = f"from + i * {right * pool}"
    corners = [r * down + k * right for r in range(pool) for k in range(pool)]
    lines = [
        line
        for index, corner in enumerate(corners)
        for line in copy_patch(layer, source, plus("to", index * rows.pixel), plus(first, corner))
    ]
    return lines, len(corners) * rows.pixel


def _computed_row(layer: Convolution, rows: Rows, target: View) -> tuple[Tile, str]:
    """The function that computes `channels` channels of the n pixels of a row that are not blank."""
    common = (
        f"1, READ({rows.inputs}), {rows.stride},\n            {rows.weights_at(layer.name)}, "
        f"&{layer.name}_requantization, c, channels"
    )
    patch, stored = rows.pixel, padded(layer.output.shape[2], 4)
    offsets = f"{patch}, {2 * patch}, {3 * patch}, {common}"
    if layer.pooled:
        lines = [
            "for (int k = 0; k < n; k++)",
            f"    convolve_maximum_4(x + k * {4 * patch}, {offsets}, out + c + computed[k] * {target.pixel});",
        ]
    else:
        lines = [
            "(void)computed;",
            "for (int k = 0; k < n; k += 4)",
            f"    convolve_4(x + k * {patch}, {offsets}, out + c + k * {stored}, {stored});",
        ]
    parameters = "const input *x, act *out, const uint8_t *computed, int n, int c, int channels"
    function = f"INLINE void {layer.name}_row({parameters})\n{{\n{indent(lines)}\n}}\n"
    return Tile(4, pooled=layer.pooled), function


def _blank_pixel(layer: Convolution) -> str:
    """The output where the whole input is background."""

    def declare(values: NDArray[np.int8]) -> str:
        stored = [*(f"STORED({value})" for value in values), *["0"] * (-len(values) % 4)]
        return array("act", f"{layer.name}_blank", stored)

    return _in_both_roundings(layer.blank_output, declare)


@dataclass(frozen=True)
class PositionTiles:
    """The tiles of a row of output pixels of a layer that leaves out positions of its kernel."""

    layer: Convolution
    tiles: list[tuple[int, int, int]]  # first pixel, number of tiles, pixels

    @property
    def positions(self) -> int:
        """Positions of the kernel."""
        return self.layer.window.kernel[0] * self.layer.window.kernel[1]

    @property
    def channels(self) -> int:
        """The values of a tile's bias."""
        return padded(self.layer.output.shape[2], 16)

    @property
    def count(self) -> int:
        """The number of tiles."""
        return sum(number for _, number, _ in self.tiles)

    def loop(self, start: int, number: int, pixels: int, bias: str) -> str:
        """The head of a loop over tiles, which steps the list of positions and the bias."""
        end = start + number * pixels
        step = f"i += {pixels}, list += {self.positions + 1}, {bias} += {self.channels}"
        return f"for (int i = {start}; i < {end}; {step})"


def skip_positions(layer: Convolution, rows: Rows, source: View, target: View, background: Background) -> Kernel:
    """The kernel that leaves out the positions of its kernel that are blank for all pixels of a tile.

    Their contributions, which are constant, become part of the tile's bias.
    """
    width = layer.output.shape[1]
    tiles = PositionTiles(layer, [(0, width, 1)] if layer.pooled else spans(width))
    lists = padded(2 * (rows.size + SLACK), 64)  # behind the widened inputs
    biases = lists + padded(tiles.count * (tiles.positions + 1), 64)
    lines = [
        "const uint32_t *drawn = (const uint32_t *)(const void *)marks;",
        f"uint8_t *const lists = (uint8_t *)scratch + {lists};",
        f"int32_t *const biases = (int32_t *)(void *)(scratch + {biases});",
        f"for (int y = 0; y < {layer.output.shape[0]}; y++) {{",
        f"    const uint32_t *read = drawn + y * {_steps(layer)[0]};",
        "    uint8_t *list = lists;",
        "    int32_t *bias = biases;",
        *(f"    {line}" for line in _list_positions(tiles)),
        f"    const input *x = widened(scratch, {plus('in', source.start)} + y * {rows.step}, {rows.size});",
        f"    act *row = {plus('out', target.start)} + y * {target.row};",
        *(f"    {line}" for line in each_tile_of_channels(layer, "x, row, lists, biases")),
        "}",
    ]
    used, row_function = _positions_row(tiles, rows, source, target)
    function = f"{row_function}NOINLINE void {layer.name}({PARAMETERS}, const act *marks)\n{{\n{indent(lines)}\n}}\n"
    constants = _offsets(layer, source) + _contributions(layer, background)
    scratch = biases + 4 * tiles.count * tiles.channels + SLACK
    return Kernel(layer.name, COMMENT, constants, function, scratch, used, f"{layer.inputs[0].name} drawn")


def _list_positions(tiles: PositionTiles) -> list[str]:
    """The lines that list the positions of each tile and compute its bias."""
    layer = tiles.layer
    (height, width), (stride_y, stride_x) = layer.window.kernel, layer.window.strides
    below, step = (stride_y if layer.pooled else 0), _steps(layer)[1]
    lines = []
    for start, number, pixels in tiles.tiles:
        bits = sum(1 << p * stride_x for p in range(2 if layer.pooled else pixels))
        blank = f"{layer.name}_bias, {layer.name}_blank, list, {tiles.positions}, {tiles.channels}"
        lines += [
            f"{tiles.loop(start, number, pixels, 'bias')} {{",
            f"    list_positions(list, read, {height}, {width}, i * {step}, {bits}, {below});",
            f"    add_blank(bias, {blank});",
            "}",
        ]
    return lines


def _positions_row(tiles: PositionTiles, rows: Rows, source: View, target: View) -> tuple[frozenset[Tile], str]:
    """The function that computes `channels` channels of a row of output pixels, with a list for each tile."""
    layer = tiles.layer
    common = (
        f"list, {layer.name}_offsets, {source.pixel},\n            {rows.weights_at(layer.name)}, &q, c, channels, "
        f"out + c + i * {target.pixel}"
    )
    lines, used = [f"requantization q = {layer.name}_requantization;", "q.bias = biases;"], set()
    for start, number, pixels in tiles.tiles:
        if layer.pooled:
            used.add(Tile(4, pooled=True, positions=True))
            offsets = f"{rows.pixel}, {rows.below}, {rows.pixel + rows.below}, "
            call = f"convolve_positions_maximum_4(x + i * {2 * rows.pixel}, {offsets}{common});"
        else:
            used.add(Tile(pixels, pooled=False, positions=True))
            offsets = "".join(f"{p * rows.pixel}, " for p in range(1, pixels))
            call = f"convolve_positions_{pixels}(x + i * {rows.pixel}, {offsets}{common}, {target.pixel});"
        lines += [tiles.loop(start, number, pixels, "q.bias"), f"    {call}"]
    parameters = "const input *x, act *out, const uint8_t *list, const int32_t *biases, int c, int channels"
    return frozenset(used), f"INLINE void {layer.name}_row({parameters})\n{{\n{indent(lines)}\n}}\n"


def _offsets(layer: Convolution, source: View) -> str:
    """Where the inputs of each position of the kernel are."""
    height, width = layer.window.kernel
    values = [str(y * source.row + x * source.pixel) for y in range(height) for x in range(width)]
    return array("uint16_t", f"{layer.name}_offsets", values)


def _contributions(layer: Convolution, background: Background) -> str:
    """What each position of the kernel adds to the sums if it is blank, [positions][output channels]."""
    kernel = layer.weights.astype(np.int64).reshape(len(layer.weights), -1, layer.weights.shape[3])
    weights = kernel.sum(axis=2).T

    def declare(values: NDArray[np.int8]) -> str:
        products: NDArray[np.int64] = (kernel * values).sum(axis=2).T
        filler = ["0"] * (-len(kernel) % 16)
        texts: list[str] = []
        for sums, stored in zip(products, weights, strict=True):
            texts += [f"BLANK({product}, {weight})" for product, weight in zip(sums, stored, strict=True)] + filler
        return array("int32_t", f"{layer.name}_blank", texts)

    return _in_both_roundings(background, declare)


def _in_both_roundings(background: Background | None, declare: Callable[[NDArray[np.int8]], str]) -> str:
    """The definitions of what depends on the background, for each rounding."""
    if background is None:
        return ""
    return f"#if FLOAT_SCALE\n{declare(background.float_scale)}#else\n{declare(background.fixed_point)}#endif\n"
