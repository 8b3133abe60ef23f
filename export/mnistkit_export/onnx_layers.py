"""Reads the layer tensors of ONNX models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.native_output import suppress_output
from mnistkit.formats.onnx_file import OPERATORS_WITH_WEIGHTS, OnnxFile
from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair
from mnistkit_export.tensor_names import INPUT, layer_of_node

# Suffixes that the quantizer appends to the name of a tensor.
DEQUANTIZED, STORED, SCALE, ZERO_POINT = "_DequantizeLinear_Output", "_quantized", "_scale", "_zero_point"


def compare(float32: bytes, quantized: bytes, images: NDArray[np.uint8]) -> Iterator[LayerValues]:
    """Run both files on the images and pair their layers, by the last tensor of each layer that both files have.

    The quantizer fuses nodes, so the quantized file lacks some tensors.
    """
    reference, model = _Model(float32), _Model(quantized)
    shared = {node.output[0]: after for node in reference.nodes if (after := model.find_real_values(node.output[0]))}
    values, quantized_values = reference.run(images, list(shared)), model.run(images, list(shared.values()))
    last_nodes = {layer_of_node(node.name): node for node in reference.nodes if node.output[0] in shared}
    for layer, node in last_nodes.items():
        output = node.output[0]
        readers = (layer_of_node(reader.name) for reader in reference.nodes if output in reader.input)
        weights, weight_params = _weights(reference, model, layer)
        yield LayerValues(
            layer=layer,
            operator=node.op_type,
            consumers=tuple(dict.fromkeys(readers)),
            activations=TensorPair(values[output], quantized_values[shared[output]]),
            # The converter puts the channels of images first, until a Transpose puts them last again.
            channel_axis=1 if values[output].ndim == 4 and node.op_type != "Transpose" else -1,
            activation_params=model.activation_params(output),
            weights=weights,
            weight_params=weight_params,
        )


def _weights(reference: _Model, model: _Model, layer: str) -> tuple[TensorPair | None, QuantParams | None]:
    for node in reference.nodes:
        if layer_of_node(node.name) != layer or node.op_type not in OPERATORS_WITH_WEIGHTS:
            continue
        name = node.input[1]
        if name in reference.constants:
            params = model.weight_params(name)
            weights = params.dequantize(model.constants[name + STORED]) if params else model.constants[name]
            return TensorPair(reference.constants[name], weights), params
    return None, None


class _Model:
    """The nodes and constants of a file."""

    def __init__(self, content: bytes) -> None:
        self._file = OnnxFile.from_bytes(content)
        self.nodes = self._file.nodes
        self.constants = self._file.constants()
        self._writers = {output: node for node in self.nodes for output in node.output}

    def run(self, images: NDArray[np.uint8], tensors: list[str]) -> dict[str, NDArray[np.float32]]:
        """The values of these tensors on the images."""
        import onnx
        import onnxruntime

        model = onnx.ModelProto()
        model.CopyFrom(self._file.model)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(tensors))
        options = onnxruntime.SessionOptions()
        # Fusions would remove some of the tensors.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with suppress_output():
            session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        values = session.run(tensors, {INPUT: images.astype(np.float32)})
        return dict(zip(tensors, values, strict=True))

    def find_real_values(self, name: str) -> str | None:
        """The tensor with the real values of a float32 tensor after quantization; None if it was fused."""
        return next((found for found in (name + DEQUANTIZED, name) if found in self._writers), None)

    def activation_params(self, name: str) -> QuantParams | None:
        """How the activations that are called `name` in float32 are quantized; None if they are float."""
        node = self._writers.get(name + DEQUANTIZED)
        if node is None:
            return None
        scale, zero_point = (self.constants[tensor] for tensor in node.input[1:3])
        return QuantParams.along(zero_point.dtype, scale, zero_point.astype(np.int64), 0, 1)

    def weight_params(self, name: str) -> QuantParams | None:
        """How the weights that are called `name` in float32 are quantized; None if they are float."""
        if name + STORED not in self.constants:
            return None
        node = self._writers.get(name + DEQUANTIZED)
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1) if node else 0
        stored, scale, zero_point = (self.constants[name + suffix] for suffix in (STORED, SCALE, ZERO_POINT))
        return QuantParams.along(stored.dtype, scale, zero_point.astype(np.int64), axis, stored.ndim)
