"""Converts a prepared model to the artifacts of a bundle."""

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnistkit import bundle
from mnistkit.bundle import (
    AccuracyControl,
    Artifact,
    CalibrationMethod,
    ConversionInfo,
    Format,
    Metadata,
    Provenance,
    Quantization,
)
from mnistkit.core import files, records
from mnistkit.core.errors import ExportError, MnistkitError, one_line
from mnistkit.core.packages import installed_versions, missing_package
from mnistkit.core.progress import Progress
from mnistkit.formats.model_file import ModelFile
from mnistkit.training import keras_models
from mnistkit_export.accuracy_control import AccuracyTarget, quantize_with_accuracy_control
from mnistkit_export.onnx import OnnxConverter
from mnistkit_export.passes import PreparedModel
from mnistkit_export.plan import CALIBRATED, ArtifactKind, ExportOptions
from mnistkit_export.tflite import TfliteConverter


class Converter(Protocol):
    """Converts one model to the files of one format."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that it uses; artifacts record their versions."""

    @property
    def calibration_method(self) -> CalibrationMethod:
        """The calibration method of int8 and int16x8."""

    def convert(self, quantization: Quantization, float_layers: Collection[str] = ()) -> ModelFile:
        """Convert the model, with tensors named after layers. `float_layers` are not quantized."""


# The last argument is a folder for temporary files.
CONVERTERS: dict[Format, Callable[[PreparedModel, NDArray[np.float32], CalibrationMethod, Path], Converter]] = {
    "tflite": lambda prepared, images, _, scratch: TfliteConverter(prepared, images, scratch),
    "onnx": OnnxConverter,
}


@dataclass(frozen=True)
class ArtifactWriter:
    """Converts a prepared model and writes the artifacts."""

    prepared: PreparedModel
    images: NDArray[np.float32]  # for calibration; empty if nothing is calibrated
    provenance: Provenance
    options: ExportOptions
    target: AccuracyTarget | None  # of int8
    progress: Progress

    def write(self, artifact_kinds: list[ArtifactKind], folder: Path) -> Iterator[Artifact]:
        """Write the artifacts to the folder, one after the other."""
        with tempfile.TemporaryDirectory() as scratch:
            converters: dict[Format, Converter] = {}
            for format, quantization in artifact_kinds:
                if format not in converters:
                    method = self.options.calibration_method
                    converters[format] = CONVERTERS[format](self.prepared, self.images, method, Path(scratch))
                yield self._write_artifact(format, quantization, converters[format], folder)

    def _write_artifact(
        self, format: Format, quantization: Quantization, converter: Converter, folder: Path
    ) -> Artifact:
        path = folder / f"model.{quantization}.{format}"
        with conversion_step(path.name, self.progress):
            model_file, control = self._convert(format, quantization, converter)
            conversion = ConversionInfo(
                format=format,
                quantization=quantization,
                macs=keras_models.count_macs(self.prepared.model),
                parameters=keras_models.count_parameters(self.prepared.model),
                calibration_method=converter.calibration_method if quantization in CALIBRATED else None,
                accuracy_control=control,
                tool_versions=installed_versions("mnistkit", *converter.packages),
            )
            model_file.set_metadata(records.to_line(Metadata(self.provenance, conversion)))
            content, info = model_file.to_bytes(), model_file.info()
        files.write_bytes(path, content)
        file = bundle.describe(path)
        return Artifact(
            file=file.file,
            sha256=file.sha256,
            bytes=file.bytes,
            format=conversion.format,
            quantization=conversion.quantization,
            macs=conversion.macs,
            parameters=conversion.parameters,
            calibration_method=conversion.calibration_method,
            accuracy_control=conversion.accuracy_control,
            tool_versions=conversion.tool_versions,
            input=info.input,
            output=info.output,
            operators=info.operators,
            requires=info.requires,
        )

    def _convert(
        self, format: Format, quantization: Quantization, converter: Converter
    ) -> tuple[ModelFile, AccuracyControl | None]:
        if quantization != "int8" or self.target is None:
            return converter.convert(quantization), None
        return quantize_with_accuracy_control(
            format,
            converter.convert("float32"),
            lambda float_layers: converter.convert("int8", float_layers),
            self.target,
            self.progress,
        )


@contextmanager
def conversion_step(name: str, progress: Progress) -> Iterator[None]:
    """Report a step of a conversion as a task, and raise its unexpected exceptions as ExportError."""
    try:
        with progress.task(name):
            yield
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "train") from error
    except (MnistkitError, OSError):
        raise
    except Exception as error:  # converters raise exceptions of any type
        raise ExportError(
            f"{name} failed: {type(error).__name__}: {one_line(error, 300)}",
            "simplify the model, or leave this artifact out with --format and --quantize",
        ) from error
