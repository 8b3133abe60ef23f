"""Converts Keras models to TFLite, through a SavedModel with one endpoint and a batch size of 1.

`from_concrete_functions` silently drops the weights of a Keras 3 model, and `from_keras_model` leaves the batch size
open, which splits the graph into two delegate partitions; a SavedModel avoids both.
"""

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import CalibrationMethod, Quantization
from mnistkit.core.errors import ExportError
from mnistkit.core.native_output import suppress_output
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit.training.keras_models import import_keras, leaf_layers
from mnistkit_export.passes import PreparedModel
from mnistkit_export.plan import CALIBRATED
from mnistkit_export.tensor_names import layer_outputs, outputs_with_exponential, rename_tflite_tensors, to_layer_name


@dataclass(frozen=True)
class TfliteConverter:
    """Converts one model to .tflite files, see Converter."""

    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "keras")
    calibration_method: ClassVar[CalibrationMethod] = "minmax"  # the only one that TFLite supports

    prepared: PreparedModel
    images: NDArray[np.float32]  # for calibration; empty if nothing is calibrated
    scratch: Path

    def convert(self, quantization: Quantization, float_layers: Collection[str] = ()) -> TfliteFile:
        """Convert the model. In int8, input and output are uint8, so that raw pixels need no conversion.

        An int8 file keeps in float what 8 bits are too few for: the sums of squares and inverse roots of L2
        normalizations, and the exponentials of activations (see `outputs_with_exponential`).
        """
        if quantization in CALIBRATED:
            self._check_no_recurrent_layer(quantization)
        with suppress_output(1, 2):
            file = TfliteFile.from_bytes(self._convert(quantization, float_layers))
        rename_tflite_tensors(file, self.prepared.layers)
        file.remove_converter_metadata()
        return file

    def _convert(self, quantization: Quantization, float_layers: Collection[str]) -> bytes:
        if quantization == "float32":
            return self._float32
        float_outputs = self._float_outputs(float_layers) if quantization == "int8" else []
        if float_outputs:
            return self._convert_mixed(float_outputs)
        content: bytes = self._converter(quantization).convert()
        return content

    @functools.cached_property
    def _float32(self) -> bytes:
        content: bytes = self._converter("float32").convert()
        return content

    def _converter(self, quantization: Quantization) -> Any:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(self._saved_model))
        if quantization == "float32":
            return converter
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        operators = tf.lite.OpsSet
        match quantization:
            case "float16":
                converter.target_spec.supported_types = [tf.float16]
            case "dynamic":
                # One scale per row of a dense layer requires TensorFlow Lite 2.17, one per layer 2.4.
                converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
            case "int8":
                converter.target_spec.supported_ops = [operators.TFLITE_BUILTINS_INT8]
                converter.representative_dataset = self._representative_dataset
                converter.inference_input_type = converter.inference_output_type = tf.uint8
            case "int16x8":
                converter.target_spec.supported_ops = [
                    operators.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
                ]
                converter.representative_dataset = self._representative_dataset
        return converter

    def _float_outputs(self, float_layers: Collection[str]) -> list[str]:
        """The converter's names of the tensors that stay float32 in int8."""
        file = TfliteFile.from_bytes(self._float32)
        layers, wanted = self.prepared.layers, {*float_layers, *self._l2_normalizations()}
        return [*layer_outputs(file, layers, wanted), *outputs_with_exponential(file, layers)]

    def _convert_mixed(self, float_outputs: list[str]) -> bytes:
        """Convert to int8 except these tensors. Only the converter's QuantizationDebugger can exclude tensors."""
        import tensorflow as tf
        from tensorflow.lite.python.util import modify_model_io_type

        converter = self._converter("int8")
        converter.inference_input_type = converter.inference_output_type = tf.float32
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=self._representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=float_outputs),
        )
        mixed: bytes = debugger.get_nondebug_quantized_model()
        # If a float layer reads the input or writes the output, that tensor stays float32.
        types = (tf.uint8 if quantized else tf.float32 for quantized in _has_quantized_ends(mixed))
        content: bytes = modify_model_io_type(mixed, *types)
        return content

    def _check_no_recurrent_layer(self, quantization: Quantization) -> None:
        """Raise ExportError if a layer is recurrent: the calibrator of TensorFlow crashes on its loop."""
        layers = import_keras().layers
        for layer in leaf_layers(self.prepared.model):
            if isinstance(layer, layers.RNN | layers.Bidirectional):
                name = f"{to_layer_name(layer.name)} ({type(layer).__name__})"
                raise ExportError(
                    f"layer {name} cannot be quantized to {quantization} in tflite",
                    "use float32, float16 or dynamic, or int8 in onnx",
                )

    def _l2_normalizations(self) -> Iterator[str]:
        for layer in leaf_layers(self.prepared.model):
            if isinstance(layer, import_keras().layers.UnitNormalization):
                yield to_layer_name(layer.name)

    def _representative_dataset(self) -> Iterator[list[NDArray[np.float32]]]:
        for image in self.images:
            yield [image[None]]

    @functools.cached_property
    def _saved_model(self) -> Path:
        """The model's inference as a SavedModel: image float32 [1, height, width, channels] to probabilities."""
        import tensorflow as tf

        model, folder = self.prepared.model, self.scratch / "saved_model"
        archive = import_keras().export.ExportArchive()
        archive.track(model)
        image = tf.TensorSpec([1, *model.inputs[0].shape[1:]], tf.float32, name="image")
        archive.add_endpoint(
            "serve", lambda image: {"probabilities": model(image, training=False)}, input_signature=[image]
        )
        archive.write_out(folder, verbose=False)
        return folder


def _has_quantized_ends(content: bytes) -> tuple[bool, bool]:
    """Whether only a QUANTIZE operator reads the input, and whether a DEQUANTIZE operator writes the output."""
    file = TfliteFile.from_bytes(content)
    operators = file.operators()
    readers = {operator.kind for operator in operators if file.input in operator.inputs}
    writers = {operator.kind for operator in operators if file.output in operator.outputs}
    return readers == {"QUANTIZE"}, writers == {"DEQUANTIZE"}
