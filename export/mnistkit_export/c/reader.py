"""Reads a .tflite file operator by operator."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.formats.tflite_file import Operator, TfliteFile
from mnistkit_export.c.network import (
    HIGHEST,
    LOWEST,
    Activation,
    Add,
    Concatenation,
    Convolution,
    Depthwise,
    Flatten,
    Layer,
    Limit,
    Limits,
    Lookup,
    Mean,
    Network,
    Pad,
    Pool,
    Slice,
    Softmax,
    Window,
    fail,
    six,
)

CORRUPT = "its shapes contradict each other"
SAME = 0  # of the schema's Padding
LOWEST_WEIGHT = -127  # TFLite's; the sum of two products with activations fits in 16 bits
MOST_VALUES = 1 << 24  # of an activation
RELU, RELU6 = 1, 3  # of the schema's ActivationFunctionType
INT8, UINT8 = 9, 3  # of the schema's TensorType


class Reader:
    """Reads one file."""

    def __init__(self, model: TfliteFile) -> None:
        self._model = model.model
        self._graph = model.model.subgraphs[0]
        self._input, self._output = model.input, model.output
        self._operators = model.operators()
        self._activations: dict[int, Activation] = {}
        self._layers: list[Layer] = []
        self._names: set[str] = set()
        self._read: dict[str, Callable[[Operator, Any], None]] = {
            "QUANTIZE": self._quantize,
            "STRIDED_SLICE": self._strided_slice,
            "PAD": self._pad,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "FULLY_CONNECTED": self._dense,
            "MAX_POOL_2D": self._pool,
            "AVERAGE_POOL_2D": self._pool,
            "MEAN": self._mean,
            "REDUCE_MAX": self._reduce_max,
            "RELU": self._lookup,
            "RELU6": self._lookup,
            "LOGISTIC": self._lookup,
            "ADD": self._add,
            "MUL": self._multiplication,
            "CONCATENATION": self._concatenation,
            "RESHAPE": self._reshape,
            "SOFTMAX": self._softmax,
        }

    def network(self) -> Network:
        """The network; raises ExportError if an operator cannot be generated."""
        if len(self._graph.inputs) != 1 or len(self._graph.outputs) != 1:
            raise fail(self._tensor_name(self._output), "the file has several inputs or outputs")
        for operator, node in zip(self._operators, self._graph.operators, strict=True):
            if operator.kind not in self._read:
                raise fail(self._tensor_name(operator.outputs[0]), f"no kernel for {operator.kind}")
            self._read[operator.kind](operator, node.builtinOptions)
        return Network(self._network_input, self._activations[self._output], tuple(self._layers))

    # Tensors

    def _tensor_name(self, index: int) -> str:
        return str(self._graph.tensors[index].name.decode())

    def _constant(self, index: int) -> NDArray[Any] | None:
        """The values of a constant tensor; None if the tensor is computed."""
        tensor = self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        dtype = {INT8: np.int8, UINT8: np.uint8, 2: np.int32, 0: np.float32}[tensor.type]
        return np.frombuffer(bytes(data), dtype).reshape(tensor.shape)

    def _weights(self, index: int, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Constant int8 weights and their scales."""
        values, tensor = self._constant(index), self._graph.tensors[index]
        if values is None or values.dtype != np.int8:
            raise fail(name, "its weights are not int8")
        if np.any(np.asarray(tensor.quantization.zeroPoint)):
            raise fail(name, "its weights have a zero point other than 0")
        if values.min() < LOWEST_WEIGHT:
            raise fail(name, f"a weight is less than {LOWEST_WEIGHT}")
        return values, np.asarray(tensor.quantization.scale, np.float32)

    def _bias(self, operator: Operator, channels: int) -> NDArray[np.int32]:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(channels, np.int32)
        bias = self._constant(operator.inputs[2])
        if bias is None or bias.shape != (channels,):
            raise fail(self._tensor_name(operator.outputs[0]), "its bias is not one constant for each channel")
        return bias.astype(np.int32)

    def _activation(self, index: int) -> Activation:
        """The activation that a layer reads; raises ExportError if it is not int8, or constant."""
        if index not in self._activations:
            raise fail(self._tensor_name(index), "it is a constant, or not int8")
        return self._activations[index]

    def _new_activation(self, index: int, shape: tuple[int, ...] | None = None) -> Activation:
        """The activation that a layer writes."""
        tensor, name = self._graph.tensors[index], self._tensor_name(index)
        sizes = tuple(int(size) for size in (tensor.shape if shape is None else shape))
        if tensor.type != INT8 or tensor.quantization is None or tensor.quantization.scale is None:
            raise fail(name, "its output is not int8")
        if len(sizes) < 2 or len(sizes) > 4 or sizes[0] != 1 or min(sizes) < 1 or math.prod(sizes) > MOST_VALUES:
            raise fail(name, f"its output has the shape {sizes}")
        shape_3d = (*(1,) * (4 - len(sizes)), *sizes[1:])
        scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
        if not 0 < scale < math.inf or not LOWEST <= zero <= HIGHEST:
            raise fail(name, "its scale or zero point is invalid")
        self._activations[index] = Activation(self._identifier(name), shape_3d, scale, zero)  # type: ignore[arg-type]
        return self._activations[index]

    def _identifier(self, name: str) -> str:
        """A C identifier that no other activation has."""
        base = "layer_" + "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
        unique, number = base, 2
        while unique in self._names:
            unique, number = f"{base}_{number}", number + 1
        self._names.add(unique)
        return unique

    def _append(self, layer: Layer) -> None:
        self._layers.append(layer)

    # Operators

    def _quantize(self, operator: Operator, _: Any) -> None:
        source, target = operator.inputs[0], operator.outputs[0]
        kinds = self._graph.tensors[source].type, self._graph.tensors[target].type
        if source == self._input:
            quantization = self._graph.tensors[source].quantization
            activation = self._new_activation(target)
            if kinds[0] != UINT8 or not _equal(quantization, self._graph.tensors[target].quantization, 128):
                raise fail(activation.name, "the input of the file is not uint8 with the scale of the first layer")
            self._network_input = activation
        elif target == self._output and kinds == (INT8, UINT8):
            if not _equal(self._graph.tensors[target].quantization, self._graph.tensors[source].quantization, 128):
                raise fail(self._tensor_name(target), "the output of the file has another scale than the last layer")
            self._activations[target] = self._activations[source]
        else:
            self._lookup(operator, None)

    def _strided_slice(self, operator: Operator, options: Any) -> None:
        source = self._activation(operator.inputs[0])
        output = self._new_activation(operator.outputs[0])
        constants = [self._constant(index) for index in operator.inputs[1:4]]
        rank = len(self._graph.tensors[operator.inputs[0]].shape)
        unusual = options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask
        if any(values is None for values in constants) or rank != 4 or unusual:
            raise fail(output.name, "the slice is not of constant rows, columns and channels")
        begin, _, strides = (np.asarray(values) for values in constants)
        first = [0 if options.beginMask >> axis & 1 else int(begin[axis]) for axis in range(4)]
        first = [value + size if value < 0 else value for value, size in zip(first, (1, *source.shape), strict=True)]
        if min(strides) < 1 or first[0]:
            raise fail(output.name, "the slice has a negative stride")
        last = [a + (n - 1) * int(step) for a, n, step in zip(first[1:], output.shape, strides[1:], strict=True)]
        if min(first) < 0 or any(end >= size for end, size in zip(last, source.shape, strict=True)):
            raise fail(output.name, CORRUPT)
        self._append(Slice(output.name, (source,), output, tuple(first[1:]), tuple(map(int, strides[1:]))))  # type: ignore[arg-type]

    def _pad(self, operator: Operator, _: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        sizes = self._constant(operator.inputs[1])
        if sizes is None or sizes.shape != (4, 2) or sizes[0].any() or sizes[3].any():
            raise fail(output.name, "the padding is not of constant rows and columns")
        (top, bottom), (left, right) = sizes[1:3].tolist()
        height, width, channels = source.shape
        self._check_shape(output, (top + height + bottom, left + width + right, channels))
        if sizes.min() < 0 or (source.scale, source.zero) != (output.scale, output.zero):
            raise fail(output.name, "it pads with another value than zero")
        self._append(Pad(output.name, (source,), output, tuple(map(int, sizes[1:3].ravel()))))  # type: ignore[arg-type]

    def _convolution(self, operator: Operator, options: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        weights, scales = self._weights(operator.inputs[1], output.name)
        if weights.shape[3] != source.shape[2]:
            raise fail(output.name, "it is a grouped convolution")
        window = self._window(weights.shape[1:3], options, source, output)
        self._check_shape(output, (*output.shape[:2], len(weights)))
        bias = self._bias(operator, len(weights))
        limits = self._limits(options, output)
        scales = np.broadcast_to(scales, len(weights)).copy()
        self._append(Convolution(output.name, (source,), output, window, weights, bias, scales, limits))

    def _depthwise(self, operator: Operator, options: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        weights, scales = self._weights(operator.inputs[1], output.name)
        window = self._window(weights.shape[1:3], options, source, output)
        channels = weights.shape[3]
        self._check_shape(output, (*output.shape[:2], channels))
        if channels % source.shape[2]:
            raise fail(output.name, CORRUPT)
        limits = self._limits(options, output)
        scales = np.broadcast_to(scales, channels).copy()
        bias = self._bias(operator, channels)
        self._append(Depthwise(output.name, (source,), output, window, weights[0], bias, scales, limits))

    def _dense(self, operator: Operator, options: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        weights, scales = self._weights(operator.inputs[1], output.name)
        if options.weightsFormat or source.size != weights.shape[1]:
            raise fail(output.name, "it is a dense layer over several rows")
        self._check_shape(output, (1, 1, len(weights)))
        kernel = weights.reshape(len(weights), *source.shape)  # a dense layer is a convolution over the whole image
        bias, limits = self._bias(operator, len(weights)), self._limits(options, output)
        scales = np.broadcast_to(scales, len(weights)).copy()
        window = Window(source.shape[:2])
        self._append(Convolution(output.name, (source,), output, window, kernel, bias, scales, limits, dense=True))

    def _pool(self, operator: Operator, options: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        window = self._window((options.filterHeight, options.filterWidth), options, source, output)
        self._check_shape(output, (*output.shape[:2], source.shape[2]))
        kind = "max" if operator.kind.startswith("MAX") else "average"
        limits = self._limits(options, output)
        if kind == "average" or any(a > b for a, b in zip(window.strides, window.kernel, strict=True)):
            high = limits.high.fixed_point  # XNNPACK leaves it to TFLite's kernels
            limits = Limits(limits.low, Limit(high, high))
        self._append(Pool(output.name, (source,), output, kind, window, limits))

    def _mean(self, operator: Operator, _: Any) -> None:
        source, output = self._over_image(operator)
        self._append(Mean(output.name, (source,), output))

    def _reduce_max(self, operator: Operator, _: Any) -> None:
        source, output = self._over_image(operator)
        if (source.scale, source.zero) != (output.scale, output.zero):
            raise fail(output.name, "its output has another scale than its input")
        self._append(Pool(output.name, (source,), output, "max", Window(source.shape[:2]), Limits()))

    def _over_image(self, operator: Operator) -> tuple[Activation, Activation]:
        """The input and output of an operator over height and width."""
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        axes = self._constant(operator.inputs[1])
        rank = len(self._graph.tensors[operator.inputs[0]].shape)
        if axes is None or rank != 4 or sorted(int(axis) % rank for axis in axes.ravel()) != [1, 2]:
            raise fail(output.name, "it is over other axes than height and width")
        self._check_shape(output, (1, 1, source.shape[2]))
        return source, output

    def _add(self, operator: Operator, options: Any) -> None:
        sources = tuple(self._activation(index) for index in operator.inputs)
        output = self._new_activation(operator.outputs[0])
        if len(sources) != 2 or any(source.shape != output.shape for source in sources):
            raise fail(output.name, "it adds activations of different shapes")
        if any(not 2**-10 <= source.scale / output.scale < 2**8 for source in sources):
            raise fail(output.name, "the scales of its inputs and output differ too much")
        self._append(Add(output.name, sources, output, self._limits(options, output)))

    def _concatenation(self, operator: Operator, options: Any) -> None:
        sources = tuple(self._activation(index) for index in operator.inputs)
        output = self._new_activation(operator.outputs[0])
        rank = len(self._graph.tensors[operator.outputs[0]].shape)
        if int(options.axis) % rank != rank - 1 or options.fusedActivationFunction:
            raise fail(output.name, "it concatenates another axis than channels")
        if any((source.scale, source.zero) != (output.scale, output.zero) for source in sources):
            raise fail(output.name, "it concatenates activations with different scales")
        for source in sources:
            self._check_shape(output, (*source.shape[:2], sum(one.shape[2] for one in sources)))
        self._append(Concatenation(output.name, sources, output))

    def _lookup(self, operator: Operator, _: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        self._check_shape(output, source.shape)
        self._append(Lookup(output.name, (source,), output, operator.kind.lower()))

    def _multiplication(self, operator: Operator, options: Any) -> None:
        """The product with a scalar, as a layer that rescales its input leaves it."""
        source, constant = sorted(operator.inputs, key=lambda index: index not in self._activations)
        output, values = self._new_activation(operator.outputs[0]), self._constant(constant)
        if values is None or values.size != 1 or values.dtype != np.int8 or options.fusedActivationFunction:
            raise fail(output.name, "it is a product of activations")
        quantization = self._graph.tensors[constant].quantization
        factor = int(values.ravel()[0]) - int(quantization.zeroPoint[0])
        inputs, scale = (self._activation(source),), float(quantization.scale[0])
        self._check_shape(output, inputs[0].shape)
        self._append(Lookup(output.name, inputs, output, "mul", factor, scale))

    def _reshape(self, operator: Operator, _: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        if output.shape == source.shape:
            self._activations[operator.outputs[0]] = source
        elif output.shape == (1, 1, source.size):
            self._append(Flatten(output.name, (source,), output))
        else:
            raise fail(output.name, f"it changes the shape from {source.shape} to {output.shape}")

    def _softmax(self, operator: Operator, options: Any) -> None:
        source, output = self._activation(operator.inputs[0]), self._new_activation(operator.outputs[0])
        if source.shape[:2] != (1, 1):
            raise fail(output.name, "it is a softmax over more than one row")
        if (output.scale, output.zero) != (1 / 256, LOWEST):
            raise fail(output.name, "its output has another scale than 1/256")
        self._check_shape(output, source.shape)
        self._append(Softmax(output.name, (source,), output, float(options.beta)))

    def _window(self, kernel: Any, options: Any, source: Activation, output: Activation) -> Window:
        sizes = int(kernel[0]), int(kernel[1])
        strides = int(options.strideH), int(options.strideW)
        dilation = int(getattr(options, "dilationHFactor", 1)), int(getattr(options, "dilationWFactor", 1))
        window = Window(sizes, strides, dilation)
        if min(*sizes, *strides, *dilation) < 1:
            raise fail(output.name, CORRUPT)
        same = options.padding == SAME
        expected = [
            -(-size // stride) if same else (size - extent) // stride + 1
            for size, stride, extent in zip(source.shape, strides, window.extent, strict=False)
        ]
        self._check_shape(output, (expected[0], expected[1], output.shape[2]))
        padding: list[int] = []
        for axis in range(2):
            needed = (output.shape[axis] - 1) * strides[axis] + window.extent[axis] - source.shape[axis]
            total = max(needed, 0) if same else 0
            padding += [total // 2, total - total // 2]
        return Window(sizes, strides, dilation, (padding[0], padding[1], padding[2], padding[3]))

    @staticmethod
    def _check_shape(output: Activation, expected: tuple[int, int, int]) -> None:
        """Raise ExportError if the file gives an output another shape than its operator computes."""
        if output.shape != expected:
            raise fail(output.name, CORRUPT)

    @staticmethod
    def _limits(options: Any, output: Activation) -> Limits:
        """The limits of a fused activation function: 0 and 6 as stored values."""
        function = int(options.fusedActivationFunction)
        if function == 0:
            return Limits()
        if function not in (RELU, RELU6):
            raise fail(output.name, "its activation function is not relu or relu6")
        return Limits(output.zero, six(output) if function == RELU6 else Limit(HIGHEST, HIGHEST))


def _equal(unsigned: Any, signed: Any, difference: int) -> bool:
    """Whether both quantizations give the same real values to stored values that differ by `difference`."""
    same_scale = unsigned.scale[0] == signed.scale[0]
    return bool(same_scale and int(unsigned.zeroPoint[0]) - int(signed.zeroPoint[0]) == difference)
