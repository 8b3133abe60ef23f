"""What stands in an .onnx file: named after the layers, given its papers, described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mnistkit import __version__
from mnistkit.bundle import ModelInfo, Tensor
from mnistkit.core.packages import missing_package
from mnistkit_export.tensor_names import constant_name, find_layer, to_layer_name, unique_names

PAPERS = "mnistkit"  # the key of ours in the metadata
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Which onnxruntime first knew an operator set: https://onnxruntime.ai/docs/reference/compatibility.html
FIRST_RUNTIME = {9: "0.3", 10: "0.4", 11: "1.0", 12: "1.3", 13: "1.6", 14: "1.8", 15: "1.10", 16: "1.11", 17: "1.12"}


def import_onnx() -> Any:
    """The module that reads and writes the format."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "train") from error
    return onnx


def named(proto: Any, layers: Iterable[str]) -> Any:
    """The ModelProto with its nodes and tensors named after the layers that they came from.

    The converter counts its names on from one model to the next, so that the same model would not give the same file.
    """
    graph, unique = proto.graph, unique_names()
    names = {"": "", graph.input[0].name: unique("image"), graph.output[0].name: unique("probabilities")}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        layer = next(filter(None, (find_layer(name, layers) for name in (node.name, *node.output))), None)
        base = f"{to_layer_name(layer)}/{node.op_type}" if layer else node.op_type
        for place, tensor in enumerate(node.input):
            if tensor in constants and tensor not in names:
                names[tensor] = unique(constant_name(base, place, weighted=node.op_type in WEIGHTED))
        node.name = unique(base)
        for output in node.output:
            names.setdefault(output, node.name if output == node.output[0] else unique(base))
    _rename(graph, names)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    graph.initializer.sort(key=lambda tensor: tensor.name)
    del graph.value_info[:]
    graph.name, graph.doc_string = "model", ""
    return proto


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Rename what nodes take and make, in the graphs within the graph too, which may take what is made outside."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)


def layer_of_node(name: str) -> str:
    """The layer that a node was `named` after."""
    return name.split("/", maxsplit=1)[0]


def to_bytes(proto: Any) -> bytes:
    """The file's content, for the oldest runtimes that its operators allow; the same model gives the same bytes."""
    onnx = import_onnx()
    used = {node.domain for node in proto.graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    proto.ir_version = onnx.helper.find_min_ir_version_for(kept, ignore_unknown=True)
    proto.producer_name, proto.producer_version, proto.doc_string = "mnistkit", __version__, ""
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def with_metadata(content: bytes, metadata: str) -> bytes:
    """The file with these papers in it."""
    onnx = import_onnx()
    proto = onnx.load_from_string(content)
    onnx.helper.set_model_props(proto, {PAPERS: metadata})
    return to_bytes(proto)


def metadata(content: bytes) -> bytes | None:
    """The papers in the file, where it has any."""
    entries = import_onnx().load_from_string(content).metadata_props
    return next((entry.value.encode() for entry in entries if entry.key == PAPERS), None)


def describe(content: bytes) -> ModelInfo:
    """What the file itself says: its tensors, its operators, the oldest runtime that loads it."""
    proto = import_onnx().load_from_string(content)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    runtime = {"onnxruntime": FIRST_RUNTIME[opset]} if opset in FIRST_RUNTIME else {}
    return ModelInfo(
        input=_tensor(proto.graph.input[0]),
        output=_tensor(proto.graph.output[0]),
        operators=tuple(node.op_type for node in proto.graph.node),
        requires=runtime | {"ONNX opset": str(opset), "ONNX IR": str(proto.ir_version)},
    )


def _tensor(value: Any) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Tensor(value.name, shape, str(import_onnx().helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
