"""Reads the metadata and the model information of a .tflite, .onnx or .c file."""

from dataclasses import dataclass
from pathlib import Path

from mnistkit import bundle
from mnistkit.bundle import File, Metadata, ModelInfo
from mnistkit.core import files, records
from mnistkit.core.errors import ModelError
from mnistkit.formats import MODEL_FILES


@dataclass(frozen=True)
class Inspection(records.Record, schema="inspection", version=1):
    """The result of `inspect` for a file outside a bundle."""

    file: File
    model: ModelInfo
    metadata: Metadata | None  # None if mnistkit did not export the file


def inspect(path: Path) -> Inspection:
    """Read the .tflite, .onnx or .c file at `path`.

    Raises ModelError if it is none of these or is corrupt, MissingExtraError if the package that reads it is not
    installed, StorageError if it can't be read, RecordError if its metadata are invalid.
    """
    suffix = path.suffix.removeprefix(".")
    if suffix not in MODEL_FILES:
        raise ModelError(f"{path} is not a .tflite, .onnx or .c file", "pass one of these, or a bundle")
    content = files.read_bytes(path)
    try:
        model_file = MODEL_FILES[suffix].from_bytes(content)
        info, metadata = model_file.info(), model_file.metadata
    except ModelError:
        raise
    except Exception as error:  # the parsers raise exceptions of any type
        raise ModelError(f"{path} is corrupt, or not a {path.suffix} file", "export it again") from error
    record = records.parse(metadata, Metadata, f"metadata of {path}", "export it again") if metadata else None
    return Inspection(bundle.describe(path), info, record)
