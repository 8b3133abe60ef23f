"""Keras to TFLite, through a SavedModel with one endpoint of batch 1.

`from_concrete_functions` writes files without the weights for a Keras 3 model, and `from_keras_model` leaves
the batch open, which splits the delegate in two: hence the detour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.bundle import Quantization
from mnistkit.core.native_output import suppress_output
from mnistkit.formats import tflite_file
from mnistkit.training.keras_models import KerasModel, import_keras

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Source:
    """What TFLite files are made from."""

    saved_model: Path
    layers: tuple[str, ...]  # their traceable names
    calibration: NDArray[np.float32]  # as many images as there are; none where nothing will be calibrated

    def convert(self, quantization: Quantization, floats: Collection[str] = ()) -> bytes:
        """The model as a .tflite file, its tensors named after the layers; `floats` are layers to leave unquantized.

        In int8 it takes and gives uint8, so that raw bytes go straight in.
        """
        with suppress_output(1, 2):
            content = self._quantized_but_for(floats) if floats else self._converter(quantization).convert()
        return tflite_file.named(content, self.layers)

    def _converter(self, quantization: Quantization) -> Any:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(self.saved_model))
        if quantization == "float32":
            return converter
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        operators = tf.lite.OpsSet
        match quantization:
            case "float16":
                converter.target_spec.supported_types = [tf.float16]
            case "dynamic":
                # One scale for each row of a dense layer needs TensorFlow Lite 2.17, one for all of it 2.4.
                converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
            case "int8":
                converter.target_spec.supported_ops = [operators.TFLITE_BUILTINS_INT8]
                converter.representative_dataset = self._one_by_one
                converter.inference_input_type = converter.inference_output_type = tf.uint8
            case "int16x8":
                converter.target_spec.supported_ops = [
                    operators.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
                ]
                converter.representative_dataset = self._one_by_one
        return converter

    def _quantized_but_for(self, floats: Collection[str]) -> bytes:
        """In int8, these layers in float32. The converter's debugger is the only door to that."""
        import tensorflow as tf
        from tensorflow.lite.python.util import modify_model_io_type

        plain: bytes = self._converter("float32").convert()
        converter = self._converter("int8")
        converter.inference_input_type = converter.inference_output_type = tf.float32
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=self._one_by_one,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_nodes=tflite_file.made_by(plain, self.layers, floats)
            ),
        )
        mixed: bytes = debugger.get_nondebug_quantized_model()
        # A float layer at an end takes or gives floats.
        types = (tf.uint8 if stored else tf.float32 for stored in tflite_file.stored_at_its_ends(mixed))
        content: bytes = modify_model_io_type(mixed, *types)
        return content

    def _one_by_one(self) -> Iterator[list[NDArray[np.float32]]]:
        for image in self.calibration:
            yield [image[None]]


def trace(model: KerasModel, folder: Path, layers: tuple[str, ...], calibration: NDArray[np.float32]) -> Source:
    """Write the model's inference as a SavedModel: image float32 [1, ...] in, probabilities out."""
    import tensorflow as tf

    archive = import_keras().export.ExportArchive()
    archive.track(model)
    image = tf.TensorSpec([1, *model.inputs[0].shape[1:]], tf.float32, name="image")
    archive.add_endpoint(
        "serve", lambda image: {"probabilities": model(image, training=False)}, input_signature=[image]
    )
    with suppress_output():
        archive.write_out(folder, verbose=False)
    return Source(folder, layers, calibration)
