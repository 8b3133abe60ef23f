"""The tensors of a layer in float32 and quantized, for both formats."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class TensorPair:
    """The real values of a tensor in float32 and in the quantized model, of equal shape."""

    float32: NDArray[np.float32]
    quantized: NDArray[np.float32]


@dataclass(frozen=True)
class QuantParams:
    """How a tensor is quantized: real value = scale × (stored value − zero point).

    Scale and zero point broadcast with the tensor: they have one element, or one for each position along an axis.
    """

    dtype: DTypeLike  # of the stored values, an integer type
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]

    @classmethod
    def along(
        cls, dtype: DTypeLike, scale: NDArray[np.float32], zero_point: NDArray[np.int64], axis: int, rank: int
    ) -> Self:
        """Parameters for a tensor of `rank` dimensions; several scales and zero points lie along `axis`."""
        shape = [1] * rank
        if scale.size > 1:
            shape[axis] = -1
        return cls(dtype, scale.reshape(shape), zero_point.reshape(shape))

    def dequantize(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The real values of stored values."""
        return ((stored.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)

    def fake_quantize(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The real values after quantizing and dequantizing."""
        info = np.iinfo(self.dtype)
        return self.dequantize(np.clip(np.round(values / self.scale) + self.zero_point, info.min, info.max))

    def saturation(self, values: NDArray[np.float32]) -> float:
        """The share of the values that lie outside the range of the stored type, beyond rounding."""
        info = np.iinfo(self.dtype)
        stored = values / self.scale + self.zero_point
        return float(((stored < info.min - 0.5) | (stored > info.max + 0.5)).mean())


@dataclass(frozen=True)
class LayerValues:
    """The activations of a layer on some images, its weights, and how both are quantized."""

    layer: str
    operator: str
    consumers: tuple[str, ...]  # the layers that read its activations
    activations: TensorPair
    channel_axis: int  # of the activations
    activation_params: QuantParams | None  # None if activations are float
    weights: TensorPair | None  # None if the layer has no weights
    weight_params: QuantParams | None  # None if weights are float
