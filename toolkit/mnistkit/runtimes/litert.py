"""LiteRT, the runtime of .tflite files (package ai-edge-litert)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.native_output import swallowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LitertSession:
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


def import_runtime() -> Any:
    """The class that opens artifacts."""
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter


def open_session(artifact: Path, batch: int, threads: int) -> LitertSession:
    """The artifact, for batches of `batch` where it can be resized, else for the batch it was exported with."""
    with swallowed():
        interpreter = import_runtime()(str(artifact), num_threads=threads)
        exported = interpreter.get_input_details()[0]
        if batch != exported["shape"][0]:
            interpreter.resize_tensor_input(exported["index"], [batch, *exported["shape"][1:]])
        try:
            interpreter.allocate_tensors()
        except RuntimeError:  # a constant in the graph holds the exported batch
            interpreter = import_runtime()(str(artifact), num_threads=threads)
            interpreter.allocate_tensors()
    return LitertSession(interpreter)
