"""Blank pixels: drawings are mostly background, and what the background adds to sums is constant.

The first convolution copies a constant pixel wherever all its inputs are background; the second leaves out the
positions of its kernel that are blank for all pixels of a tile. The results are equal.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.c.fuse import consumers
from mnistkit_export.c.network import Activation, Background, Convolution, Layer, Network, Slice
from mnistkit_export.c.requantization import requantize
from mnistkit_export.c.rows import spans

MOST_COLUMNS = 32  # a row of pixels is a word of bits
VECTOR = 16  # the channels of the second layer's input must fill vectors
WORTHWHILE = 0.1  # share of the network's multiplications that must be saved
DECISION = (
    240  # multiplications that take as long as deciding on a pixel of the first layer, or a position of the second
)
COMMON = 0.5  # share of the pixels that have the background's value


def find_background(images: NDArray[np.uint8]) -> int | None:
    """The most frequent pixel value of images, if it makes up half of them; None otherwise."""
    counts = np.bincount(images.ravel(), minlength=256)
    return int(counts.argmax()) if counts.max() >= COMMON * images.size else None


def skip_blank(network: Network, images: NDArray[np.uint8]) -> Network:
    """The network with the convolutions marked that skip blank inputs, or as it is if that saves too little.

    `images` [N, height, width, channels] are images of the kind that will be classified.
    """
    background = find_background(images)
    first = _first_convolution(network)
    if background is None or first is None:
        return network
    stored = np.full(first.weights.shape[3], background - 128, np.int8)
    flat = first.weights.reshape(len(first.weights), -1).astype(np.int64).sum(axis=1)
    blank = requantize(first, flat * (background - 128))
    marked = {first.name: replace(first, background=Background(stored, stored), blank_output=blank)}
    second = _second_convolution(network, first)
    if second:
        marked[second.name] = replace(second, background=blank)
    layers = tuple(marked.get(layer.name, layer) for layer in network.layers)
    saved = _saved(first, second, images != background)
    return replace(network, layers=layers) if saved >= WORTHWHILE * network.macs else network


def _first_convolution(network: Network) -> Convolution | None:
    """The convolution that alone reads the image, if its positions can be skipped."""
    image: Activation = network.input
    readers: list[Layer] = consumers(network, image)
    while len(readers) == 1 and isinstance(readers[0], Slice) and _crops_end(readers[0]):
        image = readers[0].output
        readers = consumers(network, image)
    layer = readers[0] if len(readers) == 1 else None
    if not isinstance(layer, Convolution):
        return None
    fits = image.shape[1] <= MOST_COLUMNS and image.shape[2] == 1 and layer.window.kernel[1] < 16
    return layer if fits and not any(layer.window.padding) and layer.window.dilation == (1, 1) else None


def _crops_end(layer: Slice) -> bool:
    """Whether a slice leaves out the last rows and columns only."""
    return layer.begin == (0, 0, 0) and layer.strides == (1, 1, 1)


def _second_convolution(network: Network, first: Convolution) -> Convolution | None:
    """The convolution that alone reads the output of the first, if positions of its kernel can be skipped."""
    readers = consumers(network, first.output)
    layer = readers[0] if len(readers) == 1 else None
    if not isinstance(layer, Convolution) or layer.dense:
        return None
    fits = first.output.shape[2] % VECTOR == 0 and not any(layer.window.padding) and layer.window.dilation == (1, 1)
    return layer if fits and first.output != network.output else None


def _saved(first: Convolution, second: Convolution | None, drawn: NDArray[np.bool_]) -> float:
    """The mean number of multiplications that are saved for an image, less what the decisions take."""
    pixels = _windows(drawn[..., 0], first)
    saved: float = first.macs * float(1 - pixels.mean()) - DECISION * pixels[0].size
    if second is None:
        return saved
    height, width = second.window.kernel
    position = replace(second, window=replace(second.window, kernel=(1, 1)))
    starts = [start + n * size for start, count, size in spans(second.output.shape[1]) for n in range(count)]
    live = [_windows(pixels[:, y:, x:], position) for y in range(height) for x in range(width)]
    tiles = live if second.pooled else [np.logical_or.reduceat(one, starts, axis=2) for one in live]
    decisions: int = len(tiles) * tiles[0][0].size
    return saved + second.macs * float(1 - np.mean(tiles)) - DECISION * decisions


def _windows(drawn: NDArray[np.bool_], layer: Convolution) -> NDArray[np.bool_]:
    """Where any input of an output pixel is drawn: bool [N, output height, output width]."""
    height, width, _ = layer.output.shape
    pool = 2 if layer.pooled else 1
    rows, columns = (
        size + (pool - 1) * stride for size, stride in zip(layer.window.kernel, layer.window.strides, strict=True)
    )
    step_y, step_x = (stride * pool for stride in layer.window.strides)
    result = np.zeros((len(drawn), height, width), np.bool_)
    for y in range(rows):
        for x in range(columns):
            result |= drawn[:, y : y + (height - 1) * step_y + 1 : step_y, x : x + (width - 1) * step_x + 1 : step_x]
    return result
