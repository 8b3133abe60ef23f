"""Writes the C of a network, generated from its int8 TFLite file."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Metadata, ModelInfo, Tensor, header_name
from mnistkit.core import files, records
from mnistkit.core.errors import ExportError
from mnistkit.formats.c_file import comment_lines
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit_export.c import generate

STANDARD = {"C": "99"}


@dataclass(frozen=True)
class WrittenCode:
    """What the written code computes, and whether its latency depends on the image."""

    info: ModelInfo
    skips_blank: bool


def write(path: Path, file: TfliteFile, metadata: Metadata, images: NDArray[np.uint8] | None) -> WrittenCode:
    """Write the source to `path` and its header beside it.

    `images` [N, height, width, channels] decide whether the code skips blank inputs; None: it does not.

    Raises ExportError if the network can't be generated, StorageError if a file can't be written.
    """
    control = metadata.conversion.accuracy_control
    if control and control.float_layers:
        raise ExportError(
            f"C is int8 only, and --max-drop keeps layers in float: {', '.join(control.float_layers)}",
            "use the TFLite or ONNX artifact, or raise --max-drop",
        )
    info = _describe(file.info())
    code = generate(file, comment_lines(records.to_line(metadata), info), images)
    files.write_bytes(path, code.source.encode())
    files.write_bytes(path.with_name(header_name(path.name)), code.header.encode())
    return WrittenCode(info, code.skips_blank)


def _describe(info: ModelInfo) -> ModelInfo:
    """The properties of the code: those of the TFLite file, but the output is dequantized."""
    output = Tensor(info.output.name, info.output.shape, "float32")
    return replace(info, output=output, requires=STANDARD)
