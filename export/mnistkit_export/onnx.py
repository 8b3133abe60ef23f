"""Keras to ONNX, for any batch, with the oldest operator set that per-channel quantization allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.bundle import Tensor
from mnistkit.keras_models import KerasModel
from mnistkit.native_output import swallowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET = 13
# Opset 13 came with onnxruntime 1.6: https://onnxruntime.ai/docs/reference/compatibility.html
OLDEST_RUNTIME = "onnxruntime 1.6"
CALIBRATION_BATCH = 50
# Where the work is, and what passes values on unchanged. The rest, normalisations above all, has ranges that
# eight bits can't hold, and takes no time worth saving.
QUANTIZED_OPERATORS = ["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape"]


def convert(model: KerasModel) -> Any:
    """The model as an ONNX ModelProto: image float32 [N, ...] in, probabilities out."""
    import tensorflow as tf

    with swallowed():
        import tf2onnx

        image = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="image")
        # Not over a captured constant: that silently writes a file without the weights.
        function = tf.function(lambda image: model(image, training=False))
        proto, _ = tf2onnx.convert.from_function(function, input_signature=[image], opset=OPSET)
    _rename_output(proto, "probabilities")
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return proto


def _rename_output(proto: Any, name: str) -> None:
    (output,) = proto.graph.output
    for node in proto.graph.node:
        for i, made in enumerate(node.output):
            if made == output.name:
                node.output[i] = name
    output.name = name


def quantize(proto: Any, calibration: NDArray[np.float32], folder: Path) -> Any:
    """The model in int8, QDQ, weights per channel; input and output stay float32."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.batches = _batches(calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.batches, None)

    plain, prepared, quantized = (folder / f"{stage}.onnx" for stage in ("plain", "prepared", "quantized"))
    onnx.save(proto, plain)
    with swallowed(1, 2):
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)  # the symbolic one wants sympy
        quantize_static(
            prepared,
            quantized,
            Reader(),
            op_types_to_quantize=QUANTIZED_OPERATORS,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
    return onnx.load(quantized)


def _batches(images: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
    for start in range(0, len(images), CALIBRATION_BATCH):
        yield {"image": images[start : start + CALIBRATION_BATCH]}


def to_bytes(proto: Any) -> bytes:
    """The file's content; the same model gives the same bytes."""
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def describe(content: bytes) -> dict[str, Any]:
    """What the file itself says: its tensors, its operators, the oldest runtime that loads it."""
    import onnx

    graph = onnx.load_from_string(content).graph
    return {
        "input": _tensor(graph.input[0]),
        "output": _tensor(graph.output[0]),
        "operators": tuple(node.op_type for node in graph.node),
        "oldest_runtime": OLDEST_RUNTIME,
    }


def _tensor(value: Any) -> Tensor:
    import onnx

    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Tensor(value.name, shape, str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
