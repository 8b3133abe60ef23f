"""What a bundle, or a lone artifact, tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mnistkit import bundle
from mnistkit.bundle import File, Metadata, ModelInfo
from mnistkit.core import files, records
from mnistkit.core.errors import ModelError
from mnistkit_export.convert import FILES


@dataclass(frozen=True)
class Inspection(records.Record):
    """What one file is, what it holds, and the papers that mnistkit gave it."""

    schema: ClassVar[str] = "inspection"
    version: ClassVar[int] = 1

    file: File
    model: ModelInfo
    metadata: Metadata | None


def inspect(path: Path) -> Inspection:
    """Read the .tflite or .onnx file at `path`.

    Raises ModelError where it is neither, or broken; MissingExtraError where the package that reads it isn't here;
    StorageError where it can't be read; RecordError where its papers are not what they should be.
    """
    format = FILES.get(path.suffix.removeprefix("."))
    if format is None:
        raise ModelError(f"{path} is neither a .tflite nor an .onnx file", "name one, or a bundle")
    content = files.read_bytes(path)
    try:
        contents, metadata = format.describe(content), format.metadata(content)
    except (ModelError, ImportError):
        raise
    except Exception as error:  # the readers raise whatever a broken file leads them to
        raise ModelError(f"{path} is no {path.suffix} file, or it is broken", "export it again") from error
    read = records.parse(metadata, Metadata, f"{path}: its papers", "export it again") if metadata else None
    return Inspection(bundle.describe(path), contents, read)
