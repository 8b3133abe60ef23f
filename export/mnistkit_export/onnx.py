"""Converts Keras models to ONNX for any batch size, with the oldest opset that supports each quantization."""

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import CalibrationMethod, Quantization
from mnistkit.core.native_output import suppress_output
from mnistkit.core.version import __version__
from mnistkit.formats.onnx_file import OnnxFile
from mnistkit.training.keras_models import KerasModel
from mnistkit_export.grouped_convolutions import find_groups, restore_groups, with_full_kernels
from mnistkit_export.onnx_operators import OPERATORS
from mnistkit_export.passes import PreparedModel
from mnistkit_export.tensor_names import layer_of_node, rename_onnx_tensors

# 9: the oldest that tf2onnx writes. 11: introduced DynamicQuantizeLinear. 13: introduced per-channel scales.
OLDEST_OPSETS: dict[Quantization, int] = {"float32": 9, "dynamic": 11, "int8": 13}
NEWEST_OPSET = 17  # tried last, if a layer needs a newer operator
CALIBRATION_BATCH = 50
# The operators that take the most time, and those that pass values on unchanged. Others, such as normalizations, save
# little time, and 8 bits are too few for their value ranges.
STATIC_OPERATORS = ["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape"]
# Not Conv: no kernel fuses ConvInteger, which makes the CNN six times as slow as in float32.
DYNAMIC_OPERATORS = ["Gemm", "MatMul"]


@dataclass(frozen=True)
class OnnxConverter:
    """Converts one model to .onnx files, see Converter."""

    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")

    prepared: PreparedModel
    images: NDArray[np.float32]  # for calibration; empty if nothing is calibrated
    calibration_method: CalibrationMethod
    scratch: Path

    def convert(self, quantization: Quantization, float_layers: Collection[str] = ()) -> OnnxFile:
        """Convert the model."""
        import onnx

        model = self._to_float32(OLDEST_OPSETS[quantization])
        if quantization != "float32":
            onnx.save(model, self._float32_path)
            with suppress_output(1, 2):
                if quantization == "dynamic":
                    self._quantize_dynamic()
                else:
                    nodes = [node.name for node in model.graph.node]
                    self._quantize_static([node for node in nodes if layer_of_node(node) in float_layers])
            model = onnx.load(self._quantized_path)
        _lower_versions(model)
        return OnnxFile(model)

    @functools.cached_property
    def _groups(self) -> dict[str, int]:
        return find_groups(self.prepared.model)

    @functools.cached_property
    def _model(self) -> KerasModel:
        """The model that tf2onnx can convert."""
        return with_full_kernels(self.prepared.model) if self._groups else self.prepared.model

    @property
    def _float32_path(self) -> Path:
        return self.scratch / "float32.onnx"

    @property
    def _quantized_path(self) -> Path:
        return self.scratch / "quantized.onnx"

    def _to_float32(self, oldest_opset: int) -> Any:
        """A ModelProto in float32, with the oldest opset that supports all layers, from `oldest_opset` on."""
        errors: list[Exception] = []
        for opset in range(oldest_opset, NEWEST_OPSET + 1):
            try:
                with suppress_output():
                    return self._convert_to_opset(opset)
            except Exception as error:  # converters raise any exception if the opset is too old
                errors.append(error)
        raise errors[0]

    def _convert_to_opset(self, opset: int) -> Any:
        """A ModelProto in float32: image [N, height, width, channels] to probabilities, with exact fusions applied."""
        import onnx
        import onnxruntime
        import tensorflow as tf
        import tf2onnx

        model = self._model
        image = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="image")
        # Pass the model, not a captured constant: tf2onnx would silently drop the weights.
        function = tf.function(lambda image: model(image, training=False))
        tf2onnx.utils.INTERNAL_NAME = 1  # the number in generated names, by which tf2onnx orders nodes
        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=[image], opset=opset, custom_op_handlers=dict(OPERATORS)
        )
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "N"
        onnx.checker.check_model(proto)  # tf2onnx writes operators that it does not support unchanged
        if len(proto.graph.input) != 1:
            raise ValueError("a layer keeps a tensor that is not a weight")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators
        fused_path = self.scratch / "fused.onnx"
        options.optimized_model_filepath = str(fused_path)
        onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        fused = onnx.load(fused_path)
        rename_onnx_tensors(fused, self.prepared.layers)
        restore_groups(fused, self._groups)
        onnx.checker.check_model(fused)
        return fused

    def _quantize_dynamic(self) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            self._float32_path,
            self._quantized_path,
            op_types_to_quantize=DYNAMIC_OPERATORS,
            weight_type=QuantType.QInt8,
        )

    def _quantize_static(self, float_nodes: list[str]) -> None:
        """Quantize in QDQ format, with per-channel weights; input and output stay float32."""
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

        methods = {
            "minmax": CalibrationMethod.MinMax,
            "percentile": CalibrationMethod.Percentile,
            "entropy": CalibrationMethod.Entropy,
        }
        quantize_static(
            self._float32_path,
            self._quantized_path,
            Reader(),
            op_types_to_quantize=STATIC_OPERATORS,
            nodes_to_exclude=float_nodes,
            quant_format=QuantFormat.QDQ,
            calibrate_method=methods[self.calibration_method],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )

    def _batches(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        # Percentile and entropy calibration require batches of equal size.
        size = CALIBRATION_BATCH if self.calibration_method == "minmax" else 1
        for start in range(0, len(self.images), size):
            yield {"image": self.images[start : start + size]}


def _lower_versions(model: Any) -> None:
    """Require only the opsets and the IR version that the nodes need, and name mnistkit as the producer."""
    import onnx

    domains = {node.domain for node in model.graph.node}
    opsets = [entry for entry in model.opset_import if entry.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.ir_version = onnx.helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model.producer_name, model.producer_version, model.doc_string = "mnistkit", __version__, ""
