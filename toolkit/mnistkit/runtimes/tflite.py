"""The TFLite interpreter, from one of three packages: LiteRT, its predecessor tflite-runtime, or TensorFlow."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import SessionError
from mnistkit.core.native_output import suppress_output


class TfliteSession:
    """An interpreter whose tensors are allocated for one batch size."""

    def __init__(self, interpreter: Any) -> None:
        (tensor_in,), (*_, tensor_out) = interpreter.get_input_details(), interpreter.get_output_details()
        self.batch = int(tensor_in["shape"][0])
        self.run = interpreter.invoke
        # Functions that return a view of the tensor: invoke fails while such a view is alive.
        self._input = interpreter.tensor(tensor_in["index"])
        self._output = interpreter.tensor(tensor_out["index"])
        self._scale, self._zero_point = tensor_out["quantization"]

    def load(self, images: NDArray[np.uint8]) -> None:
        """Set the input: raw images [batch, height, width, channels]."""
        self._input()[...] = images

    def read(self) -> NDArray[np.float32]:
        """The probabilities [batch, classes] of the last run."""
        output: NDArray[np.float32] = self._output().astype("float32")
        return output if self._scale == 0 else (output - self._zero_point) * self._scale  # a scale of 0: not quantized


def import_runtime(module: str) -> Any:
    """The interpreter class; raises SessionError if the package does not support the installed numpy."""
    if module.startswith("tflite_runtime") and int(np.__version__.partition(".")[0]) >= 2:
        raise SessionError(
            f"tflite-runtime requires numpy 1, but numpy {np.__version__} is installed", "pip install 'numpy<2'"
        )
    with suppress_output():
        return importlib.import_module(module).Interpreter


def open_session(module: str, artifact: Path, batch: int, threads: int) -> TfliteSession:
    """Open an artifact for a batch size of `batch`, or for the one it was exported with if it can't be resized."""
    interpreter_class = import_runtime(module)
    # The default delegate, XNNPACK, stays: the CNN takes 3 to 5 times as long without it. One thread is the default of
    # mnistkit: a second one makes float32 a fifth faster and int8 no faster (benchmarks/settings.py).
    with suppress_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow announces that tf.lite.Interpreter is deprecated
        interpreter = interpreter_class(str(artifact), num_threads=threads)
        exported = interpreter.get_input_details()[0]
        if batch != exported["shape"][0]:
            interpreter.resize_tensor_input(exported["index"], [batch, *exported["shape"][1:]])
        try:
            interpreter.allocate_tensors()
        except RuntimeError:  # a constant in the graph contains the exported batch size
            interpreter = interpreter_class(str(artifact), num_threads=threads)
            interpreter.allocate_tensors()
    return TfliteSession(interpreter)
