"""Keras to TFLite, through a SavedModel with one endpoint of batch 1.

`from_concrete_functions` writes files without the weights for a Keras 3 model, and `from_keras_model` leaves
the batch open, which splits the delegate in two: hence the detour.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.bundle import Quantization, Tensor
from mnistkit.extras import missing
from mnistkit.keras_models import KerasModel, import_keras
from mnistkit.native_output import swallowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def write_saved_model(model: KerasModel, folder: Path) -> None:
    """Write the model's inference as a SavedModel: image float32 [1, ...] in, probabilities out."""
    import tensorflow as tf

    keras = import_keras()
    archive = keras.export.ExportArchive()
    archive.track(model)
    image = tf.TensorSpec([1, *model.inputs[0].shape[1:]], tf.float32, name="image")
    archive.add_endpoint(
        "serve", lambda image: {"probabilities": model(image, training=False)}, input_signature=[image]
    )
    with swallowed():
        archive.write_out(folder, verbose=False)


def convert(saved_model: Path, quantization: Quantization, calibration: NDArray[np.float32]) -> bytes:
    """The SavedModel as a .tflite file. In int8 it takes and gives uint8, so that raw bytes go straight in."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if quantization == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _one_by_one(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    with swallowed(1, 2):
        content: bytes = converter.convert()
    return content


def _one_by_one(images: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for image in images:
        yield [image[None]]


def describe(content: bytes) -> dict[str, Any]:
    """What the file itself says: its tensors, its operators, the oldest runtime that loads it."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ModuleNotFoundError as error:
        raise missing("ai-edge-litert", "train") from error
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[model.operatorCodes[operator.opcodeIndex].builtinCode] for operator in graph.operators]
    return {
        "input": _tensor(schema, graph.tensors[graph.inputs[0]], "image"),
        "output": _tensor(schema, graph.tensors[graph.outputs[0]], "probabilities"),
        "operators": tuple(codes),
        "oldest_runtime": f"TensorFlow Lite {_oldest_runtime(model)}",
    }


def _tensor(schema: Any, tensor: Any, name: str) -> Tensor:
    types = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
    scale = zero_point = None
    if tensor.quantization and tensor.quantization.scale is not None:
        scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    return Tensor(name, tuple(int(size) for size in tensor.shape), types[tensor.type], scale, zero_point)


def _oldest_runtime(model: Any) -> str:
    for entry in model.metadata or []:
        if entry.name == b"min_runtime_version":
            return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
    return "unknown"
