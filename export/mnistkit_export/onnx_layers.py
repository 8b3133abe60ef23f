"""What an ONNX network computes inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mnistkit.core.native_output import suppress_output
from mnistkit.formats.onnx_file import WEIGHTED, import_onnx, layer_of_node
from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What the quantizer appends to the name of a tensor: its real value after it was quantized; its stored value.
DEQUANTIZED, STORED = "_DequantizeLinear_Output", "_quantized"


def compare(plain: bytes, quantized: bytes, images: NDArray[np.uint8]) -> Iterator[LayerValues]:
    """Each layer of both files by the last tensor of it that both have: the quantizer fuses nodes."""
    one, other = _Inside(plain), _Inside(quantized)
    shared = {node.output[0]: other.after(node.output[0]) for node in one.nodes}
    wanted = {before: after for before, after in shared.items() if after}
    before, after = one.run(images, list(wanted)), other.run(images, list(wanted.values()))
    last = {layer_of_node(node.name): node for node in one.nodes if node.output[0] in wanted}
    for layer, node in last.items():
        made = node.output[0]
        values = before[made]
        yield LayerValues(
            layer=layer,
            operator=node.op_type,
            feeds=tuple(dict.fromkeys(layer_of_node(taker.name) for taker in one.nodes if made in taker.input)),
            activations=TensorPair(values, after[wanted[made]]),
            # The converter computes images with their channels first, until it has them put back.
            channel_axis=1 if values.ndim == 4 and node.op_type != "Transpose" else -1,
            storage=other.storage(made),
            **_weights(one, other, layer),
        )


def _weights(one: _Inside, other: _Inside, layer: str) -> dict[str, Any]:
    for node in one.nodes:
        if layer_of_node(node.name) == layer and node.op_type in WEIGHTED and node.input[1] in one.constants:
            name = node.input[1]
            storage = other.weight_storage(name)
            after = storage.dequantize(other.constants[name + STORED]) if storage else other.constants[name]
            return {"weights": TensorPair(one.constants[name], after), "weight_storage": storage}
    return {"weights": None, "weight_storage": None}


class _Inside:
    """A file's nodes and constants."""

    def __init__(self, content: bytes) -> None:
        onnx = import_onnx()
        self._proto = onnx.load_from_string(content)
        self.nodes = list(self._proto.graph.node)
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in self._proto.graph.initializer
        }
        self._makers = {output: node for node in self.nodes for output in node.output}

    def run(self, images: NDArray[np.uint8], tensors: list[str]) -> dict[str, NDArray[np.float32]]:
        """What these tensors hold on the images."""
        import numpy as np
        import onnxruntime

        del self._proto.graph.output[:]
        self._proto.graph.output.extend(import_onnx().ValueInfoProto(name=name) for name in dict.fromkeys(tensors))
        options = onnxruntime.SessionOptions()
        # Fusions would compute some of them no more.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with suppress_output():
            session = onnxruntime.InferenceSession(self._proto.SerializeToString(), options, ["CPUExecutionProvider"])
        values = session.run(list(tensors), {"image": images.astype(np.float32)})
        return dict(zip(tensors, values, strict=True))

    def after(self, name: str) -> str | None:
        """Where the tensor of this name in float32 is found here, as it is after it was quantized."""
        return next((found for found in (name + DEQUANTIZED, name) if found in self._makers), None)

    def weight_storage(self, name: str) -> QuantParams | None:
        """How the weights of this name in float32 are stored here."""
        if name + STORED not in self.constants:
            return None
        node = self._makers.get(name + DEQUANTIZED)
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1) if node else 0
        stored, scale, zero_point = (self.constants[name + part] for part in (STORED, "_scale", "_zero_point"))
        return QuantParams.along(stored.dtype, scale, zero_point.astype("int64"), axis, stored.ndim)

    def storage(self, name: str) -> QuantParams | None:
        """How the tensor of this name in float32 is stored here."""
        node = self._makers.get(name + DEQUANTIZED)
        if node is None:
            return None
        scale, zero_point = (self.constants[tensor] for tensor in node.input[1:3])
        return QuantParams.along(zero_point.dtype, scale, zero_point.astype("int64"), 0, 1)
