"""Folds rescaling and batch normalization into the weights of neighboring layers.

Both compute scale[c]·x + shift[c] for each channel c, which a linear layer W before or after can absorb:

    before: scale·W(x) + shift: weights times scale along their outputs, new bias = bias·scale + shift
    after:  W(scale·x + shift): weights times scale along their inputs, new bias = bias + W(shift)

The second is exact at the borders of an image only if the layer does not pad, or the shift is zero.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mnistkit_export.passes.sequential import LayerSpec

LINEAR = ("Conv2D", "Dense", "DepthwiseConv2D")
RESHAPING = ("Flatten", "Reshape")


@dataclass(frozen=True)
class ScaleAndShift:
    """The map scale·x + shift, float64 [channels]."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def fold(layers: list[LayerSpec]) -> list[LayerSpec]:
    """Remove every rescaling and batch normalization that a neighboring layer can absorb."""
    folded: list[LayerSpec] = []
    remaining = list(layers)
    while remaining:
        layer = remaining.pop(0)
        scaling = _scale_and_shift(layer)
        if scaling and folded and (previous := _fold_into_outputs(folded[-1], scaling)):
            folded[-1] = previous
        elif scaling and (following := _fold_into_inputs(scaling, remaining)):
            remaining = following
        else:
            folded.append(layer)
    return folded


def _scale_and_shift(layer: LayerSpec) -> ScaleAndShift | None:
    """The scale and shift of each channel that the layer computes; None if it computes anything else."""
    channels = layer.input_shape[-1]
    match layer.kind:
        case "Rescaling":
            rescaling = layer.layer_class.from_config(layer.config)
            scale, shift = np.asarray(rescaling.scale, np.float64), np.asarray(rescaling.offset, np.float64)
            if scale.size not in (1, channels) or shift.size not in (1, channels):
                return None
        case "BatchNormalization" if layer.config["axis"] in (-1, len(layer.input_shape)):
            scale, shift = _of_batch_normalization(layer)
        case _:
            return None
    return ScaleAndShift(np.broadcast_to(scale.ravel(), channels), np.broadcast_to(shift.ravel(), channels))


def _of_batch_normalization(layer: LayerSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift of γ·(x − mean)/√(variance + ε) + β.

    Source: Ioffe and Szegedy, 2015 (https://arxiv.org/abs/1502.03167).
    """
    weights = [weight.astype(np.float64) for weight in layer.weights]
    variance, mean = weights.pop(), weights.pop()
    beta = weights.pop() if layer.config["center"] else np.zeros_like(mean)
    gamma = weights.pop() if layer.config["scale"] else np.ones_like(mean)
    scale = gamma / np.sqrt(variance + layer.config["epsilon"])
    return scale, beta - mean * scale


def _is_linear(layer: LayerSpec) -> bool:
    """Whether the layer has only a kernel and a bias, in the memory layout that this module supports."""
    config = layer.config
    is_supported = config.get("data_format", "channels_last") == "channels_last" and config.get("groups", 1) == 1
    return layer.kind in LINEAR and is_supported and not config.get("lora_rank") and len(layer.weights) <= 2


def _fold_into_outputs(layer: LayerSpec, scaling: ScaleAndShift) -> LayerSpec | None:
    """The layer with the scaling after it folded in; None if the layer is not linear or has an activation."""
    if not _is_linear(layer) or layer.config["activation"] != "linear":
        return None
    kernel, bias = _kernel_and_bias(layer)
    scale = scaling.scale
    if layer.kind == "DepthwiseConv2D":  # its last two axes are channel and multiplier
        scale = scale.reshape(kernel.shape[-2:])
    return _with_weights(layer, kernel * scale, bias * scaling.scale + scaling.shift)


def _fold_into_inputs(scaling: ScaleAndShift, layers: list[LayerSpec]) -> list[LayerSpec] | None:
    """The layers with the scaling before them folded into the first linear one; None if that is not possible."""
    if not layers:
        return None
    first, *rest = layers
    if first.kind in RESHAPING and first.config.get("data_format", "channels_last") == "channels_last":
        reshaped = _reshape(scaling, first.output_shape)
        folded = _fold_into_inputs(reshaped, rest) if reshaped else None
        return [first, *folded] if folded else None
    is_exact = first.config.get("padding", "valid") == "valid" or not scaling.shift.any()
    if not _is_linear(first) or not is_exact:
        return None
    kernel, bias = _kernel_and_bias(first)
    summed_axes = (0, 1) if first.kind == "DepthwiseConv2D" else tuple(range(kernel.ndim - 1))
    shifted = (kernel * scaling.shift[:, None]).sum(axis=summed_axes).ravel()
    return [_with_weights(first, kernel * scaling.scale[:, None], bias + shifted), *rest]


def _reshape(scaling: ScaleAndShift, shape: tuple[int, ...]) -> ScaleAndShift | None:
    """The same map after a reshape to `shape`; None if it is not one for each channel."""
    if len(shape) == 1:
        positions = shape[0] // len(scaling.scale)
        return ScaleAndShift(np.tile(scaling.scale, positions), np.tile(scaling.shift, positions))
    if np.ptp(scaling.scale) or np.ptp(scaling.shift):
        return None
    return ScaleAndShift(np.full(shape[-1], scaling.scale[0]), np.full(shape[-1], scaling.shift[0]))


def _kernel_and_bias(layer: LayerSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kernel = layer.weights[0].astype(np.float64)
    bias = layer.weights[1].astype(np.float64) if layer.config["use_bias"] else np.zeros(layer.output_shape[-1])
    return kernel, bias


def _with_weights(layer: LayerSpec, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> LayerSpec:
    config = layer.config | {"use_bias": True}
    return replace(layer, config=config, weights=(kernel.astype(np.float32), bias.astype(np.float32)))
