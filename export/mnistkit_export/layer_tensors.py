"""What a network computes inside, in float32 and quantized: the common ground of both formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorPair:
    """The same values in float32 and as they are after quantization, as real values, of one shape."""

    before: NDArray[np.float32]
    after: NDArray[np.float32]


@dataclass(frozen=True)
class QuantParams:
    """How a tensor's real values are stored: as scale × (stored value − zero point), in an integer type.

    Scale and zero point are of a shape that goes with the values': one for all, or one for each position along an axis.
    """

    dtype: Any
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]

    @classmethod
    def along(
        cls, dtype: Any, scale: NDArray[np.float32], zero_point: NDArray[np.int64], axis: int, rank: int
    ) -> QuantParams:
        """For values of `rank` dimensions, from one scale and zero point, or one for each position along `axis`."""
        shape = [1] * rank
        if scale.size > 1:
            shape[axis] = -1
        return cls(dtype, scale.reshape(shape), zero_point.reshape(shape))

    def dequantize(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The values that are stored so."""
        import numpy as np

        return ((stored.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)

    def fake_quantize(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is left of the values when they are stored so."""
        import numpy as np

        info = np.iinfo(self.dtype)
        return self.dequantize(np.clip(np.round(values / self.scale) + self.zero_point, info.min, info.max))

    def saturation(self, values: NDArray[np.float32]) -> float:
        """The share of the values that lie outside what is rounded to something that the type holds."""
        import numpy as np

        info = np.iinfo(self.dtype)
        stored = values / self.scale + self.zero_point
        return float(((stored < info.min - 0.5) | (stored > info.max + 0.5)).mean())


@dataclass(frozen=True)
class LayerValues:
    """One layer's activations on some images, how they are stored, and its weights."""

    layer: str
    operator: str
    feeds: tuple[str, ...]  # the layers that take its activations
    activations: TensorPair
    channel_axis: int  # of the activations
    storage: QuantParams | None  # None: in float
    weights: TensorPair | None
    weight_storage: QuantParams | None
