"""The interpreter of .tflite files: three packages have it, LiteRT, tflite-runtime before it, and TensorFlow."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core.errors import SessionError
from mnistkit.core.native_output import suppress_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TfliteSession:
    """An interpreter whose tensors are allocated for one batch size."""

    def __init__(self, interpreter: Any) -> None:
        (tensor_in,), (tensor_out,) = interpreter.get_input_details(), interpreter.get_output_details()
        self.batch = int(tensor_in["shape"][0])
        self.run = interpreter.invoke
        # Views are taken anew at each use: one that is kept would forbid the next invoke.
        self._input = interpreter.tensor(tensor_in["index"])
        self._output = interpreter.tensor(tensor_out["index"])
        self._scale, self._zero_point = tensor_out["quantization"]

    def load(self, images: NDArray[np.uint8]) -> None:
        """Put in raw images [batch, height, width, channels]."""
        self._input()[...] = images

    def read(self) -> NDArray[np.float32]:
        """The probabilities [batch, classes] of the last run."""
        stored: NDArray[np.float32] = self._output().astype("float32")
        return stored if self._scale == 0 else (stored - self._zero_point) * self._scale


def import_runtime(module: str) -> Any:
    """The class that opens artifacts; raises SessionError where it can't be imported beside this numpy."""
    import numpy as np

    if module.startswith("tflite_runtime") and int(np.__version__.partition(".")[0]) >= 2:
        raise SessionError(
            f"tflite-runtime was built for numpy 1, and numpy {np.__version__} is here", "pip install 'numpy<2'"
        )
    with suppress_output():
        return importlib.import_module(module).Interpreter


def open_session(module: str, artifact: Path, batch: int, threads: int) -> TfliteSession:
    """The artifact, for batches of `batch` where it can be resized, else for the batch it was exported with."""
    kind = import_runtime(module)
    # Its defaults bring the XNNPACK delegate, without which the CNN takes 3 to 5 times as long; of threads one, for
    # two take a fifth off its float32 and nothing off its int8 (benchmarks/settings.py).
    with suppress_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow announces that its own will go
        interpreter = kind(str(artifact), num_threads=threads)
        exported = interpreter.get_input_details()[0]
        if batch != exported["shape"][0]:
            interpreter.resize_tensor_input(exported["index"], [batch, *exported["shape"][1:]])
        try:
            interpreter.allocate_tensors()
        except RuntimeError:  # a constant in the graph holds the exported batch
            interpreter = kind(str(artifact), num_threads=threads)
            interpreter.allocate_tensors()
    return TfliteSession(interpreter)
