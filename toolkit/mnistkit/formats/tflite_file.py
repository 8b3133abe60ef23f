"""Reads and writes .tflite files."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mnistkit.bundle import ModelInfo, Tensor
from mnistkit.core.packages import import_module

METADATA_ENTRY = b"mnistkit"
RUNTIME_VERSION_ENTRY = b"min_runtime_version"  # written by the converter, read by runtimes
FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16  # bytes, required by the schema for weights; the Python packer does not apply it
OPERATORS_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
QUANTIZATION_OPERATORS = ("QUANTIZE", "DEQUANTIZE")  # change how a value is stored, not the value


@dataclass(frozen=True)
class Operator:
    """An operator and the indices of its input and output tensors; -1 marks an omitted optional input."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class TfliteFile:
    """A .tflite file with one subgraph in memory, see ModelFile."""

    model: Any  # a ModelT, the schema's tree of objects

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a file."""
        return cls(_import_schema().ModelT.InitFromPackedBuf(content, 0))

    def to_bytes(self) -> bytes:
        """Serialize the file."""
        import flatbuffers

        class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # untyped
            def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802  # the base class's name
                return super().StartVector(size, count, BUFFER_ALIGNMENT if size == 1 else alignment)

        builder = AlignedBuilder(1 << 16)
        builder.Finish(self.model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def info(self) -> ModelInfo:
        """The input, output and operators of the model, and the oldest runtime that loads it."""
        version = self._metadata_entry(RUNTIME_VERSION_ENTRY)
        return ModelInfo(
            input=_describe(self._graph.tensors[self.input]),
            output=_describe(self._graph.tensors[self.output]),
            operators=tuple(operator.kind for operator in self.operators()),
            requires={"TensorFlow Lite": version.rstrip(b"\0").decode()} if version else {},
        )

    @property
    def metadata(self) -> bytes | None:
        """The metadata that mnistkit stored; None if there is none."""
        return self._metadata_entry(METADATA_ENTRY)

    def set_metadata(self, text: str) -> None:
        """Store metadata, replacing those that mnistkit stored before."""
        schema = _import_schema()
        self._remove_metadata(METADATA_ENTRY)
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = METADATA_ENTRY, len(self.model.buffers)
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        self.model.buffers.append(buffer)
        self.model.metadata = [*(self.model.metadata or []), entry]

    def remove_converter_metadata(self) -> None:
        """Remove the metadata that the converter wrote, except the oldest runtime version."""
        for entry in list(self.model.metadata or []):
            if entry.name != RUNTIME_VERSION_ENTRY:
                self._remove_metadata(entry.name)

    def operators(self) -> list[Operator]:
        """The operators in the order in which they run."""
        kinds = _constant_names(_import_schema().BuiltinOperator)
        operators = []
        for node in self._graph.operators:
            entry = self.model.operatorCodes[node.opcodeIndex]
            code = max(entry.builtinCode, entry.deprecatedBuiltinCode)  # old files have only the deprecated field
            inputs, outputs = (tuple(int(index) for index in indices) for indices in (node.inputs, node.outputs))
            operators.append(Operator(kinds[code], inputs, outputs))
        return operators

    @property
    def input(self) -> int:
        """The index of the input tensor."""
        return int(self._graph.inputs[0])

    @property
    def output(self) -> int:
        """The index of the output tensor."""
        return int(self._graph.outputs[0])

    @property
    def tensor_names(self) -> list[str]:
        """The names of the tensors by index."""
        return [tensor.name.decode() for tensor in self._graph.tensors]

    def rename_tensors(self, names: list[str]) -> None:
        """Give each tensor a new name, by index."""
        for tensor, name in zip(self._graph.tensors, names, strict=True):
            tensor.name = name.encode()

    @property
    def _graph(self) -> Any:
        return self.model.subgraphs[0]

    def _metadata_entry(self, name: bytes) -> bytes | None:
        for entry in self.model.metadata or []:
            if entry.name == name:
                return bytes(self.model.buffers[entry.buffer].data)
        return None

    def _remove_metadata(self, name: bytes) -> None:
        for entry in self.model.metadata or []:
            if entry.name == name:
                self.model.buffers[entry.buffer].data = None
        self.model.metadata = [entry for entry in self.model.metadata or [] if entry.name != name]


def _import_schema() -> Any:
    return import_module("ai_edge_litert.schema_py_generated", "device")


def _describe(tensor: Any) -> Tensor:
    types = _constant_names(_import_schema().TensorType)
    scale = zero_point = None
    if tensor.quantization and tensor.quantization.scale is not None and len(tensor.quantization.scale):
        scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    shape = tuple(int(size) for size in tensor.shape)
    return Tensor(tensor.name.decode(), shape, types[tensor.type].lower(), scale, zero_point)


def _constant_names(constants: Any) -> dict[int, str]:
    return {code: name for name, code in vars(constants).items() if not name.startswith("_")}
