"""Joins layers: pooling into the convolution before it, padding into the convolution after it."""

from dataclasses import replace

from mnistkit_export.c.network import (
    Activation,
    Convolution,
    Depthwise,
    Flatten,
    Layer,
    Limits,
    Network,
    Pad,
    Pool,
    Window,
)


def fuse(network: Network) -> Network:
    """The network with fewer layers and the same results."""
    return _fuse_pooling(_fuse_padding(_fuse_flattening(network)))


def consumers(network: Network, activation: Activation) -> list[Layer]:
    """The layers that read an activation."""
    return [layer for layer in network.layers if activation in layer.inputs]


def _is_only_for(network: Network, activation: Activation, layer: Layer) -> bool:
    return activation != network.output and [one.name for one in consumers(network, activation)] == [layer.name]


def _fuse_flattening(network: Network) -> Network:
    """A dense layer reads an image as a convolution with a kernel of its size."""
    images = {layer.output: layer.inputs[0] for layer in network.layers if isinstance(layer, Flatten)}
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Convolution) and layer.dense and layer.inputs[0] in images:
            image = images[layer.inputs[0]]
            kernel = layer.weights.reshape(len(layer.weights), *image.shape)
            layers.append(replace(layer, inputs=(image,), window=Window(image.shape[:2]), weights=kernel))
        else:
            layers.append(layer)
    fused = replace(network, layers=tuple(layers))
    needed = [
        layer
        for layer in layers
        if not isinstance(layer, Flatten) or layer.output == network.output or consumers(fused, layer.output)
    ]
    return replace(network, layers=tuple(needed))


def _fuse_padding(network: Network) -> Network:
    layers: list[Layer] = []
    for layer in network.layers:
        pad = next((one for one in layers if isinstance(one, Pad) and one.output in layer.inputs), None)
        if not isinstance(layer, Convolution | Depthwise) or not pad or not _is_only_for(network, pad.output, layer):
            layers.append(layer)
            continue
        layers.remove(pad)
        top, bottom, left, right = (a + b for a, b in zip(pad.padding, layer.window.padding, strict=True))
        window = replace(layer.window, padding=(top, bottom, left, right))
        layers.append(replace(layer, inputs=pad.inputs, window=window))
    return replace(network, layers=tuple(layers))


def _fuse_pooling(network: Network) -> Network:
    """A maximum of 2 × 2 outputs becomes part of the convolution: rows that it leaves out are not computed."""
    layers: list[Layer] = []
    for layer in network.layers:
        before = layers[-1] if layers else None
        if (
            isinstance(layer, Pool)
            and (layer.kind, layer.window, layer.limits) == ("max", Window((2, 2), (2, 2)), Limits())
            and isinstance(before, Convolution)
            and not before.pooled
            and before.output in layer.inputs
            and _is_only_for(network, before.output, layer)
        ):
            layers[-1] = replace(before, output=layer.output, pooled=True)
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))
