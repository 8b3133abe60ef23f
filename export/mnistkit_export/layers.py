"""What a network computes inside, in float32 and quantized: the common ground of both formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pair:
    """The same values in float32 and as they are after quantization, as real values, of one shape."""

    before: NDArray[np.float32]
    after: NDArray[np.float32]


@dataclass(frozen=True)
class Storage:
    """How a tensor's real values are stored: as scale × (stored value − zero point), in an integer type."""

    dtype: Any
    scale: float
    zero_point: int

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest real value that is rounded to one that the type holds."""
        import numpy as np

        info = np.iinfo(self.dtype)
        return (info.min - 0.5 - self.zero_point) * self.scale, (info.max + 0.5 - self.zero_point) * self.scale

    def kept(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is left of the values when they are stored so."""
        import numpy as np

        info = np.iinfo(self.dtype)
        stored = np.clip(np.round(values / self.scale) + self.zero_point, info.min, info.max)
        kept: NDArray[np.float32] = ((stored - self.zero_point) * self.scale).astype(np.float32)
        return kept


@dataclass(frozen=True)
class LayerValues:
    """One layer's activations on some images, how they are stored, and its weights."""

    layer: str
    operator: str
    feeds: tuple[str, ...]  # the layers that take its activations
    activations: Pair
    channel_axis: int  # of the activations
    storage: Storage | None  # None: in float
    weights: Pair | None


def dequantized(
    stored: NDArray[np.generic], scale: NDArray[np.float32], zero_point: NDArray[np.int64], axis: int
) -> NDArray[np.float32]:
    """Scale × (stored − zero point), with one of each for all, or for each position along `axis`."""
    import numpy as np

    shape = [1] * stored.ndim
    if scale.size > 1:
        shape[axis] = -1
    values: NDArray[np.float32] = (stored.astype(np.float32) - zero_point.reshape(shape)) * scale.reshape(shape)
    return values.astype(np.float32)
