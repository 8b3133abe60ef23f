"""Folds scales and shifts into the weights beside them: a rescaling, a batch normalisation.

Each maps channel c of a value x to scale[c]·x + shift[c], so a linear layer before or after can do it for nothing:

    before  W(x) → scale·W(x) + shift         weights times scale along their outputs, bias·scale + shift
    after   W(scale·x + shift)                weights times scale along their inputs, bias + W(shift)

The second holds at the border of an image only where nothing is padded, or where the shift is zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mnistkit_export.passes.sequential import LayerSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LINEAR = ("Conv2D", "Dense", "DepthwiseConv2D")


@dataclass(frozen=True)
class Affine:
    """scale·x + shift, float64 [channels]."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def fold(stages: list[LayerSpec]) -> list[LayerSpec]:
    """The stages with every scale and shift gone that a neighbour can take over."""
    folded: list[LayerSpec] = []
    pending = list(stages)
    while pending:
        stage = pending.pop(0)
        affine = _affine(stage)
        if affine and folded and (taken := _fold_into_outputs(folded[-1], affine)):
            folded[-1] = taken
        elif affine and (after := _fold_into_inputs(affine, pending)):
            pending = after
        else:
            folded.append(stage)
    return folded


def _affine(stage: LayerSpec) -> Affine | None:
    """What the stage does, where that is no more than a scale and a shift for each channel."""
    import numpy as np

    channels = stage.input_shape[-1]
    match stage.name:
        case "Rescaling":
            layer = stage.kind.from_config(stage.config)
            scale, shift = (np.asarray(part, np.float64) for part in (layer.scale, layer.offset))
            if scale.size not in (1, channels) or shift.size not in (1, channels):
                return None
        case "BatchNormalization" if stage.config["axis"] in (-1, len(stage.input_shape)):
            scale, shift = _of_batch_norm(stage)
        case _:
            return None
    return Affine(np.broadcast_to(scale.ravel(), channels), np.broadcast_to(shift.ravel(), channels))


def _of_batch_norm(stage: LayerSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """γ·(x − mean)/√(variance + ε) + β, after Ioffe and Szegedy, 2015 (https://arxiv.org/abs/1502.03167)."""
    import numpy as np

    weights = [weight.astype(np.float64) for weight in stage.weights]
    variance, mean = weights.pop(), weights.pop()
    beta = weights.pop() if stage.config["center"] else np.zeros_like(mean)
    gamma = weights.pop() if stage.config["scale"] else np.ones_like(mean)
    scale = gamma / np.sqrt(variance + stage.config["epsilon"])
    return scale, beta - mean * scale


def _is_linear(stage: LayerSpec) -> bool:
    """Whether the stage is weights and a bias alone, in the layout that this module knows."""
    layout = stage.config.get("data_format", "channels_last") == "channels_last" and stage.config.get("groups", 1) == 1
    return stage.name in LINEAR and layout and not stage.config.get("lora_rank") and len(stage.weights) <= 2


def _fold_into_outputs(stage: LayerSpec, affine: Affine) -> LayerSpec | None:
    """The linear stage with what follows it folded in; None where its activation stands between them."""
    if not _is_linear(stage) or stage.config["activation"] != "linear":
        return None
    kernel, bias = _kernel_and_bias(stage)
    scale = affine.scale
    if stage.name == "DepthwiseConv2D":  # its outputs are (channel, multiplier), in that order
        scale = scale.reshape(kernel.shape[-2:])
    return _with_weights(stage, kernel * scale, bias * affine.scale + affine.shift)


def _fold_into_inputs(affine: Affine, stages: list[LayerSpec]) -> list[LayerSpec] | None:
    """The stages with the affine folded into the inputs of the first linear one; None where it can't be."""
    import numpy as np

    if not stages:
        return None
    first, *rest = stages
    if first.name == "Flatten" and first.config["data_format"] == "channels_last":
        positions = first.output_shape[0] // len(affine.scale)
        after = _fold_into_inputs(Affine(*(np.tile(part, positions) for part in (affine.scale, affine.shift))), rest)
        return [first, *after] if after else None
    unpadded = first.config.get("padding", "valid") == "valid" or not affine.shift.any()
    if not _is_linear(first) or not unpadded:
        return None
    kernel, bias = _kernel_and_bias(first)
    summed = (0, 1) if first.name == "DepthwiseConv2D" else tuple(range(kernel.ndim - 1))
    shifted = (kernel * affine.shift[:, None]).sum(axis=summed).ravel()
    return [_with_weights(first, kernel * affine.scale[:, None], bias + shifted), *rest]


def _kernel_and_bias(stage: LayerSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    kernel = stage.weights[0].astype(np.float64)
    bias = stage.weights[1].astype(np.float64) if stage.config["use_bias"] else np.zeros(stage.output_shape[-1])
    return kernel, bias


def _with_weights(stage: LayerSpec, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> LayerSpec:
    import numpy as np

    config = stage.config | {"use_bias": True}
    return replace(stage, config=config, weights=(kernel.astype(np.float32), bias.astype(np.float32)))
