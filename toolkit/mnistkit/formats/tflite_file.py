"""What stands in a .tflite file: read, named after the layers, given its papers, packed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mnistkit.bundle import ModelInfo, Tensor
from mnistkit.core.packages import missing_package
from mnistkit_export.tensor_names import constant_name, find_layer, to_layer_name, unique_names

PAPERS = b"mnistkit"  # the metadata entry that holds ours
VERSION = b"min_runtime_version"  # the converter's own, which runtimes read
IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # of the weights, as the schema asks for: the Python packer by itself does not
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")  # operators that change how a value is stored, and not the value


@dataclass(frozen=True)
class Operator:
    """An operator, and the tensors it takes (−1: none) and makes, by their index."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def import_schema() -> Any:
    """The module that reads and writes the format."""
    try:
        from ai_edge_litert import schema_py_generated
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "device") from error
    return schema_py_generated


def unpack(content: bytes) -> Any:
    """The file as a tree of objects (ModelT)."""
    return import_schema().ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """The file that the tree stands for; the same tree gives the same bytes."""
    import flatbuffers

    class Builder(flatbuffers.Builder):  # type: ignore[misc]  # untyped
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802  # the base class's name
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    builder = Builder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def operators(model: Any) -> Iterator[Operator]:
    """The graph's operators, in the order in which they run."""
    kinds = _names_of(import_schema().BuiltinOperator)
    for node in model.subgraphs[0].operators:
        entry = model.operatorCodes[node.opcodeIndex]
        code = max(entry.builtinCode, entry.deprecatedBuiltinCode)  # old files have the second alone
        yield Operator(kinds[code], *(tuple(map(int, ends)) for ends in (node.inputs, node.outputs)))


def named(content: bytes, layers: Iterable[str]) -> bytes:
    """The file with its tensors named after the layers that they came from, and without the converter's notes."""
    model = unpack(content)
    graph = model.subgraphs[0]
    names = _names(model, layers)
    for index, tensor in enumerate(graph.tensors):
        tensor.name = names.get(index, f"unused_{index}").encode()
    for entry in model.metadata or []:
        if entry.name != VERSION:
            model.buffers[entry.buffer].data = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name == VERSION]
    return pack(model)


def _made(model: Any, layers: Iterable[str], unique: Callable[[str], str]) -> dict[int, str]:
    """What operators make, by its index, named after the layers: the same in every quantization."""
    tensors = model.subgraphs[0].tensors
    names: dict[int, str] = {}
    for operator in operators(model):
        if operator.kind not in CONVERSIONS:
            layer = find_layer(tensors[operator.outputs[0]].name.decode(), layers)
            names |= {output: unique(to_layer_name(layer or operator.kind.lower())) for output in operator.outputs}
    return names


def _names(model: Any, layers: Iterable[str]) -> dict[int, str]:
    """A name for each tensor, by its index."""
    graph, unique = model.subgraphs[0], unique_names()
    names = _made(model, layers, unique)
    names |= {int(graph.inputs[0]): "image", int(graph.outputs[0]): "probabilities"}
    for operator in operators(model):
        if operator.outputs[0] not in names:
            names[operator.outputs[0]] = unique(operator.kind.lower())
        base = names[operator.outputs[0]]
        for place, tensor in enumerate(operator.inputs):
            if tensor >= 0 and tensor not in names:
                names[tensor] = unique(constant_name(base, place, weighted=operator.kind in WEIGHTED))
    return names


def made_by(content: bytes, layers: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """The converter's own names, in a file not yet `named`, of what the wanted layers make."""
    model = unpack(content)
    tensors = model.subgraphs[0].tensors
    names = _made(model, layers, unique_names())
    return [tensors[index].name.decode() for index, name in names.items() if name in wanted]


def stored_at_its_ends(content: bytes) -> tuple[bool, bool]:
    """Whether nothing but a QUANTIZE takes the graph's input, and whether a DEQUANTIZE makes its output."""
    model = unpack(content)
    (image,), (answer,) = model.subgraphs[0].inputs, model.subgraphs[0].outputs
    takers = {operator.kind for operator in operators(model) if image in operator.inputs}
    makers = {operator.kind for operator in operators(model) if answer in operator.outputs}
    return takers == {"QUANTIZE"}, makers == {"DEQUANTIZE"}


def with_metadata(content: bytes, metadata: str) -> bytes:
    """The file with these papers in it."""
    model = unpack(content)
    _add(model, PAPERS, metadata.encode())
    return pack(model)


def metadata(content: bytes) -> bytes | None:
    """The papers in the file, where it has any."""
    return _note(unpack(content), PAPERS)


def describe(content: bytes) -> ModelInfo:
    """What the file itself says: its tensors, its operators, the oldest runtime that loads it."""
    model = unpack(content)
    graph = model.subgraphs[0]
    version = _note(model, VERSION)
    return ModelInfo(
        input=_tensor(graph.tensors[graph.inputs[0]]),
        output=_tensor(graph.tensors[graph.outputs[0]]),
        operators=tuple(operator.kind for operator in operators(model)),
        requires={"TensorFlow Lite": version.rstrip(b"\0").decode()} if version else {},
    )


def _tensor(tensor: Any) -> Tensor:
    types = _names_of(import_schema().TensorType)
    scale = zero_point = None
    if tensor.quantization and tensor.quantization.scale is not None and len(tensor.quantization.scale):
        scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    shape = tuple(int(size) for size in tensor.shape)
    return Tensor(tensor.name.decode(), shape, types[tensor.type].lower(), scale, zero_point)


def _names_of(constants: Any) -> dict[int, str]:
    return {code: name for name, code in vars(constants).items() if not name.startswith("_")}


def _note(model: Any, name: bytes) -> bytes | None:
    return next((_content(model, entry) for entry in model.metadata or [] if entry.name == name), None)


def _content(model: Any, entry: Any) -> bytes:
    return bytes(model.buffers[entry.buffer].data)


def _add(model: Any, name: bytes, content: bytes) -> None:
    import numpy as np

    schema = import_schema()
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = name, len(model.buffers)
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
