"""How a convolution reads its inputs.

The inputs of an output pixel are one contiguous row for each row of the kernel. Where these are short, or the kernel is
dilated, they are copied next to each other first: one row, a patch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.memory import SLACK, View
from mnistkit_export.c.network import Convolution
from mnistkit_export.c.weights import padded

MOST_PIXELS = 4  # of a tile
SHORT_ROW = 64  # bytes; shorter rows that do not fill vectors of 16 are copied into patches


@dataclass(frozen=True)
class Rows:
    """The inputs of a row of output pixels; all distances are bytes."""

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
        return padded(self.weights.shape[2], 4)

    @property
    def patches_size(self) -> int:
        """Bytes of the patches; 0 if there are none."""
        return padded(self.size + SLACK, 64) if self.patch else 0

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory: the patches, and the inputs widened to 16 bits."""
        return self.patches_size + 2 * (self.size + SLACK)

    def weights_at(self, name: str) -> str:
        """The C expressions of the weights from channel c on, and of the bytes of a block of 16 channels."""
        count, inputs = self.weights.shape[1:]
        word_bytes, row_bytes = (count * padded(inputs, size) for size in (4, 16))
        return f"WEIGHTS_AT({name}_weights, c, {word_bytes}, {row_bytes}), {16 * word_bytes}"


def rows_of(layer: Convolution, source: View) -> Rows:
    """How a layer reads its inputs from a view."""
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
    patch = padded(flat.shape[2] + 3, 16)  # copies of whole words end up to 3 bytes later
    columns = layer.output.shape[1] * pool
    return Rows(flat, padded(flat.shape[2], 4), patch, patch * columns, step, patch * columns * pool, patch=True)


def spans(width: int) -> list[tuple[int, int, int]]:
    """The tiles of a row, as (first pixel, number of tiles, pixels): as few as possible, as equal as possible."""
    count = -(-width // MOST_PIXELS)
    pixels, larger = divmod(width, count)
    sizes = [(0, larger, pixels + 1), (larger * (pixels + 1), count - larger, pixels)]
    return [span for span in sizes if span[1]]


def clear_patches(rows: Rows) -> list[str]:
    """The line that clears what copies leave of patches: it is read, though only to be multiplied by zero."""
    return [f"fill(scratch, 0, {rows.patches_size});"] if rows.weights.shape[2] % 4 else []


def copy_patch(layer: Convolution, source: View, to: str, first: str) -> list[str]:
    """The lines that copy the inputs of one output pixel, the first of them at `first`, into a patch."""
    height, width = layer.window.kernel
    down, right = layer.window.dilation[0] * source.row, layer.window.dilation[1] * source.pixel
    if layer.window.dilation[1] == 1:
        return [f"copy_runs({to}, {first}, {height}, {width * source.pixel}, {down});"]
    run = f"{to} + k * {width * source.pixel}, {first} + k * {down}, {width}, {source.pixel}, {right}"
    return [f"for (int k = 0; k < {height}; k++)", f"    copy_runs({run});"]


def each_tile_of_channels(layer: Convolution, arguments: str) -> list[str]:
    """The lines that call the layer's row function for each tile of channels."""
    channels, name = padded(layer.output.shape[2], 4), f"{layer.name}_row"
    return [
        f"for (int c = 0; c + TILE <= {channels}; c += TILE)",
        f"    {name}({arguments}, c, TILE);",
        f"if ({channels} % TILE)",
        f"    {name}({arguments}, {channels} / TILE * TILE, {channels} % TILE);",
    ]
