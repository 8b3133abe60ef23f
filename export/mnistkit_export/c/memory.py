"""Where activations are in memory: rows, borders and the place in the arena.

An activation is stored as [rows][columns][channels], the channels of a pixel filled up to a multiple of 4. A buffer has
a border where a convolution reads beyond the image. A cropped image is a view of its source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mnistkit_export.c.fuse import consumers
from mnistkit_export.c.network import Activation, Concatenation, Convolution, Depthwise, Flatten, Network, Pad, Slice
from mnistkit_export.c.weights import padded

ALIGNMENT = 64  # bytes, the width of the widest vector
SLACK = 32  # bytes after a buffer that vector instructions may read or write

Border = tuple[int, int, int, int]  # rows above and below, columns left and right


@dataclass(frozen=True)
class View:
    """The pixels of an activation in a buffer; all numbers are bytes."""

    buffer: str
    start: int  # from the buffer's start to the first pixel
    row: int  # from a row to the next
    pixel: int  # from a pixel to the next
    shape: tuple[int, int, int]

    def at(self, row: int, column: int) -> int:
        """Bytes from the buffer's start to a pixel."""
        return self.start + row * self.row + column * self.pixel

    @property
    def contiguous(self) -> bool:
        """Whether the rows follow one another without a gap."""
        return self.row == self.shape[1] * self.pixel


@dataclass(frozen=True)
class Buffer:
    """The memory of an activation with its border, from the first step that needs it to the last."""

    name: str
    size: int
    zero: int  # value of the border
    filled: bool  # with `zero` before it is written, for borders and for what pixels have after their channels
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """The views of all activations and the buffers behind them. Step 0 stores the image, step 1 is the first layer."""

    views: dict[Activation, View]
    buffers: dict[str, Buffer]


def allocate(network: Network) -> Memory:
    """Decide on the views and buffers of a network's activations."""
    memory = Memory({}, {})
    _add(memory, network, network.input, network.input.shape[2], 0, fill=False)
    for step, layer in enumerate(network.layers, 1):
        if isinstance(layer, Slice) and is_view(network, layer):
            base = memory.views[layer.inputs[0]]
            start = base.at(*layer.begin[:2])
            memory.views[layer.output] = View(base.buffer, start, base.row, base.pixel, layer.output.shape)
        else:
            pixel = padded(layer.output.shape[2], 4)
            copies = isinstance(layer, Concatenation | Flatten | Pad | Slice)
            fill = isinstance(layer, Pad) or (copies and pixel != layer.output.shape[2])
            _add(memory, network, layer.output, pixel, step, fill=fill)
        for activation in layer.inputs:
            name = memory.views[activation].buffer
            memory.buffers[name] = replace(memory.buffers[name], last=step)
    last = memory.views[network.output].buffer
    memory.buffers[last] = replace(memory.buffers[last], last=len(network.layers) + 1)
    return memory


def is_view(network: Network, layer: Slice) -> bool:
    """Whether a slice needs no copy: it only crops, and no convolution reads beyond its edges."""
    crops = layer.strides == (1, 1, 1) and layer.begin[2] == 0 and layer.output.shape[2] == layer.inputs[0].shape[2]
    return crops and not any(_border(network, layer.output))


def _border(network: Network, activation: Activation) -> Border:
    """The most rows and columns that a convolution reads beyond each edge."""
    readers = (layer for layer in consumers(network, activation) if isinstance(layer, Convolution | Depthwise))
    paddings = [(0, 0, 0, 0), *(layer.window.padding for layer in readers)]
    top, bottom, left, right = (max(sizes) for sizes in zip(*paddings, strict=True))
    return top, bottom, left, right


def _add(memory: Memory, network: Network, activation: Activation, pixel: int, step: int, *, fill: bool) -> None:
    """Give an activation a buffer of its own, of `pixel` bytes a pixel."""
    top, bottom, left, right = border = _border(network, activation)
    height, width, _ = activation.shape
    row = (left + width + right) * pixel
    size = (top + height + bottom) * row
    memory.buffers[activation.name] = Buffer(activation.name, size, activation.zero, fill or any(border), step, step)
    memory.views[activation] = View(activation.name, top * row + left * pixel, row, pixel, activation.shape)


def place(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """The offset of each buffer in the arena, and the arena's bytes.

    The largest first, each at the lowest address where it meets none that is needed at the same time.
    """
    placed: list[tuple[int, int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda one: (-one.size, one.first, one.name)):
        size = padded(buffer.size + SLACK, ALIGNMENT)
        offset = 0
        for start, end, other in sorted(placed, key=lambda one: one[0]):
            if buffer.first <= other.last and other.first <= buffer.last:
                if offset + size <= start:
                    break
                offset = max(offset, end)
        placed.append((offset, offset + size, buffer))
    return {buffer.name: start for start, _, buffer in placed}, max((end for _, end, _ in placed), default=0)
