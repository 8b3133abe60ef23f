"""Keras to ONNX, for any batch, each quantization with the oldest operator set that can say it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.bundle import CalibrationMethod as Method
from mnistkit.bundle import Quantization
from mnistkit.core.native_output import suppress_output
from mnistkit.formats import onnx_file
from mnistkit.training.keras_models import KerasModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# tf2onnx writes no older one; DynamicQuantizeLinear came with 11, a scale for each channel with 13.
OPSETS: dict[str, int] = {"float32": 9, "dynamic": 11, "int8": 13}
NEWEST_OPSET = 17  # where a layer's operator is younger than what the quantization asks for
CALIBRATION_BATCH = 50
# Where the work is, and what passes values on unchanged. The rest, normalisations above all, has ranges that
# eight bits can't hold, and takes no time worth saving.
QUANTIZED_OPERATORS = ["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape"]
# Not Conv: as ConvInteger, which no kernel fuses, the CNN ran six times as long as in float32.
DYNAMIC_OPERATORS = ["Gemm", "MatMul"]


@dataclass(frozen=True)
class Source:
    """What ONNX files are made from."""

    model: KerasModel
    layers: tuple[str, ...]  # their traceable names
    calibration: NDArray[np.float32]  # as many images as there are; none where nothing will be calibrated
    method: Method
    scratch: Path

    def convert(self, quantization: Quantization, floats: Collection[str] = ()) -> bytes:
        """The model as an .onnx file, its tensors named after the layers; `floats` are layers to leave unquantized."""
        import onnx

        proto = self._traced(OPSETS[quantization])
        if quantization == "float32":
            return onnx_file.to_bytes(proto)
        onnx.save(proto, self.scratch / "named.onnx")
        with suppress_output(1, 2):
            getattr(self, f"_to_{quantization}")(floats)
        return onnx_file.to_bytes(onnx.load(self.scratch / "quantized.onnx"))

    def _traced(self, opset: int) -> Any:
        """The model as a ModelProto in float32, for the first operator set from `opset` on that can say it."""
        try:
            with suppress_output():
                return self._converted(opset)
        except Exception:  # whatever they raise where an operator is younger
            if opset == NEWEST_OPSET:
                raise
        return self._traced(opset + 1)

    def _converted(self, opset: int) -> Any:
        """Image [N, ...] in, probabilities out; nodes fused where that is exact."""
        import onnx
        import onnxruntime
        import tensorflow as tf
        import tf2onnx

        image = tf.TensorSpec([None, *self.model.inputs[0].shape[1:]], tf.float32, name="image")
        # Not over a captured constant: that silently writes a file without the weights.
        function = tf.function(lambda image: self.model(image, training=False))
        tf2onnx.utils.INTERNAL_NAME = 1  # or it counts on, and orders by the count
        proto, _ = tf2onnx.convert.from_function(function, input_signature=[image], opset=opset)
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "N"
        onnx.checker.check_model(proto)  # it writes operators that it doesn't know as they are
        if len(proto.graph.input) != 1:
            raise ValueError("a layer keeps a tensor that is no weight")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators
        options.optimized_model_filepath = str(self.scratch / "fused.onnx")
        onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        fused = onnx_file.named(onnx.load(self.scratch / "fused.onnx"), self.layers)
        onnx.checker.check_model(fused)
        return fused

    def _to_dynamic(self, floats: Collection[str]) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            self.scratch / "named.onnx",
            self.scratch / "quantized.onnx",
            op_types_to_quantize=DYNAMIC_OPERATORS,
            weight_type=QuantType.QInt8,
        )

    def _to_int8(self, floats: Collection[str]) -> None:
        """QDQ, weights per channel; input and output stay float32."""
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        batches = self._batches()

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
            def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                return next(batches, None)

        network = self.scratch / "named.onnx"
        methods = {
            "minmax": CalibrationMethod.MinMax,
            "percentile": CalibrationMethod.Percentile,
            "entropy": CalibrationMethod.Entropy,
        }
        quantize_static(
            network,
            self.scratch / "quantized.onnx",
            Reader(),
            op_types_to_quantize=QUANTIZED_OPERATORS,
            nodes_to_exclude=[
                node.name for node in onnx.load(network).graph.node if onnx_file.layer_of_node(node.name) in floats
            ],
            quant_format=QuantFormat.QDQ,
            calibrate_method=methods[self.method],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )

    def _batches(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        # The other methods want batches of one size.
        size = CALIBRATION_BATCH if self.method == "minmax" else 1
        for start in range(0, len(self.calibration), size):
            yield {"image": self.calibration[start : start + size]}
