"""The quantized network of a .tflite file as layers, with what a converter leaves implicit worked out.

Paddings are numbers of pixels, activation functions are limits of the output, and the shape of every activation is
height, width, channels. A reshape is no layer: it renames an activation.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import ExportError

LOWEST, HIGHEST = -128, 127


@dataclass(frozen=True)
class Activation:
    """An int8 tensor: real value = scale × (stored value − zero point)."""

    name: str
    shape: tuple[int, int, int]  # height, width, channels
    scale: float  # exactly a float32
    zero: int

    @property
    def size(self) -> int:
        """The number of values."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class Window:
    """How a kernel or a pool moves over its input."""

    kernel: tuple[int, int]  # height, width
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # rows above and below, columns left and right

    @property
    def extent(self) -> tuple[int, int]:
        """The rows and columns from a window's first to its last."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Limit:
    """A stored value that depends on the rounding: see Background."""

    float_scale: int
    fixed_point: int

    def __str__(self) -> str:
        """As a C expression."""
        both = f"FLOAT_SCALE ? {self.float_scale} : {self.fixed_point}"
        return both if self.float_scale != self.fixed_point else str(self.float_scale)


@dataclass(frozen=True)
class Limits:
    """The lowest and highest stored values of a layer's output."""

    low: int = LOWEST
    high: Limit = field(default_factory=lambda: Limit(HIGHEST, HIGHEST))


def six(activation: Activation) -> Limit:
    """6 as a stored value: XNNPACK rounds the sum with the zero point, to even; TFLite the quotient, away from zero."""
    quotient = np.float32(6) / np.float32(activation.scale)
    in_float = int(np.rint(min(np.float32(HIGHEST), quotient + np.float32(activation.zero))))
    return Limit(in_float, min(HIGHEST, activation.zero + math.floor(float(quotient) + 0.5)))


@dataclass(frozen=True)
class Layer:
    """A step of the network, with the activations that it reads and the one that it writes."""

    name: str
    inputs: tuple[Activation, ...]
    output: Activation


@dataclass(frozen=True)
class Background:
    """A pixel where nothing is drawn: its stored values, with the rounding of XNNPACK and of the reference kernels."""

    float_scale: NDArray[np.int8]  # [channels]
    fixed_point: NDArray[np.int8]


@dataclass(frozen=True)
class Convolution(Layer):
    """A convolution or dense layer, with the maximum of each 2 × 2 outputs if `pooled`.

    With a background, the layer does less where its input is blank. The first such layer copies its blank output where
    the whole input is blank; the next one adds a constant for each position of its kernel that is blank.
    """

    window: Window
    weights: NDArray[np.int8]  # [output channels, height, width, input channels]
    bias: NDArray[np.int32]
    weight_scales: NDArray[np.float32]  # one for each output channel
    limits: Limits
    dense: bool = False
    pooled: bool = False
    background: Background | None = None  # of the input
    blank_output: Background | None = None  # of the output, in the first layer with a background

    @property
    def macs(self) -> int:
        """Multiplications of weights and inputs."""
        pixels = self.output.shape[0] * self.output.shape[1] * (4 if self.pooled else 1)
        return pixels * self.weights.size


@dataclass(frozen=True)
class Depthwise(Layer):
    """A depthwise convolution: output channel c reads the input channel c / multiplier."""

    window: Window
    weights: NDArray[np.int8]  # [height, width, output channels]
    bias: NDArray[np.int32]
    weight_scales: NDArray[np.float32]
    limits: Limits

    @property
    def macs(self) -> int:
        """Multiplications of weights and inputs."""
        return self.output.shape[0] * self.output.shape[1] * self.weights.size


@dataclass(frozen=True)
class Pool(Layer):
    """A maximum or average over windows; positions outside of the image do not count."""

    kind: str  # "max" or "average"
    window: Window
    limits: Limits


@dataclass(frozen=True)
class Mean(Layer):
    """The mean over height and width."""


@dataclass(frozen=True)
class Add(Layer):
    """The sum of two activations."""

    limits: Limits


@dataclass(frozen=True)
class Concatenation(Layer):
    """Channels of several activations, one after the other."""


@dataclass(frozen=True)
class Pad(Layer):
    """Rows and columns of zeros around an activation."""

    padding: tuple[int, int, int, int]


@dataclass(frozen=True)
class Slice(Layer):
    """Rows, columns and channels from `begin` in steps of `strides`."""

    begin: tuple[int, int, int]
    strides: tuple[int, int, int]


@dataclass(frozen=True)
class Flatten(Layer):
    """All values of an activation as the channels of one pixel."""


@dataclass(frozen=True)
class Lookup(Layer):
    """A function of one value: rectification, the logistic function, another scale, a product with a constant."""

    kind: str  # "relu", "relu6", "logistic", "quantize" or "mul"
    factor: int = 1  # of "mul": the stored constant less its zero point
    factor_scale: float = 1.0


@dataclass(frozen=True)
class Softmax(Layer):
    """The softmax over channels."""

    beta: float


@dataclass(frozen=True)
class Network:
    """A quantized network: `layers` in the order in which they run."""

    input: Activation  # stored value = pixel value − 128
    output: Activation
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiplications of weights and inputs."""
        return sum(layer.macs for layer in self.layers if isinstance(layer, Convolution | Depthwise))


def fail(layer: str, problem: str) -> ExportError:
    """The error for a layer that cannot be generated."""
    return ExportError(
        f"layer {layer} cannot be generated as C: {problem}", "use the .tflite artifact for this network"
    )
