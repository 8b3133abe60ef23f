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
    NotExported,
    Provenance,
    Quantization,
    artifact_name,
)
from mnistkit.core import files, records
from mnistkit.core.errors import ExportError, MnistkitError, one_line
from mnistkit.core.packages import installed_versions, missing_package
from mnistkit.core.progress import Progress
from mnistkit.formats.model_file import ModelFile
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel
from mnistkit_export.accuracy_control import AccuracyTarget, quantize_with_accuracy_control
from mnistkit_export.onnx import OnnxConverter
from mnistkit_export.passes import PreparedModel
from mnistkit_export.plan import CALIBRATED, ArtifactKind, ExportOptions
from mnistkit_export.tflite import TfliteConverter
from mnistkit_export.unsupported import find_unsupported_layer


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
class Expected:
    """What a float32 artifact must compute."""

    images: NDArray[np.uint8]  # raw, [N, height, width, channels]
    probabilities: NDArray[np.float32]  # of the Keras model, [N, classes]
    tolerance: float  # of a probability

    def check(self, name: str, probabilities: NDArray[np.float32]) -> None:
        """Raise ExportError if a probability differs by more than the tolerance."""
        difference = float(abs(self.probabilities - probabilities).max())
        if not difference <= self.tolerance:  # also true if it is not a number
            raise ExportError(
                f"{name} changes the probabilities of the Keras model by up to {difference:.2g}",
                "replace the layers that a conversion may change, such as resizing",
            )


@dataclass(frozen=True)
class StartedFormat:
    """The converter of a format and the model in float32."""

    converter: Converter
    float32: ModelFile


@dataclass(frozen=True)
class ArtifactWriter:
    """Converts a prepared model and writes the artifacts."""

    prepared: PreparedModel
    images: NDArray[np.float32]  # for calibration; empty if nothing is calibrated
    provenance: Provenance
    options: ExportOptions
    target: AccuracyTarget | None  # of int8
    expected: Expected
    progress: Progress

    def write(self, artifact_kinds: list[ArtifactKind], folder: Path) -> Iterator[Artifact | NotExported]:
        """Write the artifacts to the folder, one after the other; those that can't be converted are left out."""
        with tempfile.TemporaryDirectory() as scratch:
            formats = dict.fromkeys(format for format, _ in artifact_kinds)
            # First all formats in float32: a layer that a format can't express is found before the slow quantizations.
            started = {format: self._start(format, Path(scratch)) for format in formats}
            for format, quantization in artifact_kinds:
                try:
                    yield self._write_artifact(format, quantization, started[format], folder)
                except ExportError as error:
                    yield NotExported(artifact_name(format, quantization), error.problem, error.remedy)

    def _start(self, format: Format, scratch: Path) -> StartedFormat | ExportError:
        """The converter of a format, after it converted the model to float32."""
        method = self.options.calibration_method
        converter = CONVERTERS[format](self.prepared, self.images, method, scratch)
        try:
            with conversion_step(f"converting to {format}", self.progress):
                float32 = converter.convert("float32")
                path = scratch / artifact_name(format, "float32")
                files.write_bytes(path, float32.to_bytes())
                probabilities = predict(default_for(format), path, self.expected.images, lambda amount: None)
                self.expected.check(f"converting to {format}", probabilities)
                return StartedFormat(converter, float32)
        except ExportError as error:
            return self._name_layer(format, error)

    def _name_layer(self, format: Format, error: ExportError) -> ExportError:
        """The error with the layer that the format can't express, if it is found."""

        def convert_alone(model: KerasModel) -> None:
            with tempfile.TemporaryDirectory() as scratch:
                prepared = PreparedModel(model, tuple(layer.name for layer in model.layers), ())
                CONVERTERS[format](prepared, self.images, "minmax", Path(scratch)).convert("float32")

        with self.progress.task(f"finding the layer that {format} does not support"):
            layer = find_unsupported_layer(self.prepared.model, convert_alone)
        if not layer:
            return error
        others = [other for other, _ in self.options.artifact_kinds() if other != format]
        alternative = f", or use --format {others[0]}" if others else ""
        return ExportError(f"layer {layer} cannot be exported to {format}", f"replace the layer{alternative}")

    def _write_artifact(
        self, format: Format, quantization: Quantization, started: StartedFormat | ExportError, folder: Path
    ) -> Artifact:
        if isinstance(started, ExportError):
            raise started
        converter = started.converter
        path = folder / artifact_name(format, quantization)
        with conversion_step(path.name, self.progress):
            model_file, control = self._convert(format, quantization, started)
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
        self, format: Format, quantization: Quantization, started: StartedFormat
    ) -> tuple[ModelFile, AccuracyControl | None]:
        if quantization == "float32":
            return started.float32, None
        if quantization != "int8" or self.target is None:
            return started.converter.convert(quantization), None
        return quantize_with_accuracy_control(
            format,
            started.float32,
            lambda float_layers: started.converter.convert("int8", float_layers),
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
        files.check_not_full(error)
        raise ExportError(
            f"{name} failed: {type(error).__name__}: {one_line(error, 300)}",
            "simplify the model, or leave this artifact out with --format and --quantize",
        ) from error
