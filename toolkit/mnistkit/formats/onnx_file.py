"""Reads and writes .onnx files."""

from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from mnistkit.bundle import ModelInfo, Tensor
from mnistkit.core.packages import import_module

METADATA_KEY = "mnistkit"
OPERATORS_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# The first onnxruntime to support each opset: https://onnxruntime.ai/docs/reference/compatibility.html
OLDEST_RUNTIMES = {9: "0.3", 10: "0.4", 11: "1.0", 12: "1.3", 13: "1.6", 14: "1.8", 15: "1.10", 16: "1.11", 17: "1.12"}


@dataclass(frozen=True)
class OnnxFile:
    """An .onnx file in memory, see ModelFile."""

    model: Any  # a ModelProto

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a file."""
        return cls(_import_onnx().load_from_string(content))

    def to_bytes(self) -> bytes:
        """Serialize the file."""
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content

    def info(self) -> ModelInfo:
        """The input, output and operators of the model, and the oldest runtime that loads it."""
        opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        runtime = {"onnxruntime": OLDEST_RUNTIMES[opset]} if opset in OLDEST_RUNTIMES else {}
        return ModelInfo(
            input=_describe(self.model.graph.input[0]),
            output=_describe(self.model.graph.output[0]),
            operators=tuple(node.op_type for node in self.nodes),
            requires=runtime | {"ONNX opset": str(opset), "ONNX IR": str(self.model.ir_version)},
        )

    @property
    def metadata(self) -> bytes | None:
        """The metadata that mnistkit stored; None if there is none."""
        for entry in self.model.metadata_props:
            if entry.key == METADATA_KEY:
                value: str = entry.value
                return value.encode()
        return None

    def set_metadata(self, text: str) -> None:
        """Store metadata, replacing all metadata in the file."""
        _import_onnx().helper.set_model_props(self.model, {METADATA_KEY: text})

    @property
    def nodes(self) -> list[Any]:
        """The nodes (NodeProto) in the order in which they run."""
        return list(self.model.graph.node)

    def constants(self) -> dict[str, NDArray[Any]]:
        """The constant tensors by name."""
        numpy_helper = _import_onnx().numpy_helper
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}


def _import_onnx() -> Any:
    return import_module("onnx", "train")


def _describe(value: Any) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Tensor(value.name, shape, str(_import_onnx().helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
