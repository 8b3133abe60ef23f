"""Converts a prepared model to the artifacts of a bundle."""

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mnistkit import bundle
from mnistkit.bundle import (
    AccuracyControl,
    Artifact,
    CalibrationMethod,
    ConversionInfo,
    Format,
    Library,
    Metadata,
    ModelInfo,
    NotExported,
    Provenance,
    Quantization,
    Target,
    artifact_name,
)
from mnistkit.core import files, records
from mnistkit.core.errors import ExportError, MnistkitError, one_line
from mnistkit.core.packages import installed_versions, missing_package
from mnistkit.core.progress import SILENT, Progress
from mnistkit.formats.model_file import EditableModelFile
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel
from mnistkit_export import cross_compilation, generated_code
from mnistkit_export.accuracy_control import AccuracyTarget, quantize_with_accuracy_control
from mnistkit_export.onnx import OnnxConverter
from mnistkit_export.passes import PreparedModel
from mnistkit_export.plan import C_SOURCE, CALIBRATED, ArtifactKind, ExportOptions
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

    def convert(self, quantization: Quantization, float_layers: Collection[str] = ()) -> EditableModelFile:
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
    float32: EditableModelFile


@dataclass(frozen=True)
class Converted:
    """A file in memory, and how it was converted."""

    model_file: EditableModelFile
    info: ConversionInfo


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
            formats = dict.fromkeys(C_SOURCE[0] if format == "c" else format for format, _ in artifact_kinds)
            # First all formats in float32: a layer that a format can't express is found before the slow quantizations.
            started = {format: self._start(format, Path(scratch)) for format in formats}
            c_source: Converted | ExportError | None = None
            for kind in artifact_kinds:
                format, quantization = kind
                try:
                    if format == "c":
                        c_source = c_source or self._attempt(C_SOURCE, started)
                        yield self._write_code(_value(c_source), folder)
                    else:
                        converted = self._attempt(kind, started)
                        c_source = converted if kind == C_SOURCE else c_source
                        yield self._write_artifact(_value(converted), folder)
                except ExportError as error:
                    requested = self.options.is_requested(format)
                    yield NotExported(artifact_name(format, quantization), error.problem, error.remedy, requested)

    def _attempt(
        self, kind: ArtifactKind, started: dict[Format, StartedFormat | ExportError]
    ) -> Converted | ExportError:
        """The converted file, or why it can't be converted."""
        try:
            return self._convert(*kind, _value(started[kind[0]]))
        except ExportError as error:
            return error

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
        kinds = self.options.artifact_kinds()
        others = [other for other, _ in kinds if other != format and other in CONVERTERS]
        alternative = f", or use --format {others[0]}" if others else ""
        return ExportError(f"layer {layer} cannot be exported to {format}", f"replace the layer{alternative}")

    def _convert(self, format: Format, quantization: Quantization, started: StartedFormat) -> Converted:
        converter = started.converter
        with conversion_step(artifact_name(format, quantization), self.progress):
            model_file, control = self._quantize(format, quantization, started)
            info = ConversionInfo(
                format=format,
                quantization=quantization,
                macs=keras_models.count_macs(self.prepared.model),
                parameters=keras_models.count_parameters(self.prepared.model),
                calibration_method=converter.calibration_method if quantization in CALIBRATED else None,
                accuracy_control=control,
                tool_versions=installed_versions("mnistkit", *converter.packages),
            )
        return Converted(model_file, info)

    def _quantize(
        self, format: Format, quantization: Quantization, started: StartedFormat
    ) -> tuple[EditableModelFile, AccuracyControl | None]:
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

    def _write_artifact(self, converted: Converted, folder: Path) -> Artifact:
        path = folder / artifact_name(converted.info.format, converted.info.quantization)
        with conversion_step(f"writing {path.name}", SILENT):
            converted.model_file.set_metadata(records.to_line(Metadata(self.provenance, converted.info)))
            content, info = converted.model_file.to_bytes(), converted.model_file.info()
        files.write_bytes(path, content)
        return describe_artifact(path, converted.info, info)

    def _write_code(self, source: Converted, folder: Path) -> Artifact:
        """Generate C from the int8 TFLite file."""
        metadata = Metadata(self.provenance, replace(source.info, format="c"))
        path = folder / artifact_name("c", source.info.quantization)
        with conversion_step(path.name, self.progress):
            images = self.images.astype(np.uint8) if self.options.skip_blank else None
            code = generated_code.write(path, cast(TfliteFile, source.model_file), metadata, images)
        artifact = describe_artifact(path, metadata.conversion, code.info)
        header = bundle.describe(folder / bundle.header_name(path.name))
        libraries = tuple(self._compile(path, target) for target in self.options.targets)
        return replace(artifact, header=header, libraries=libraries, skips_blank=code.skips_blank)

    def _compile(self, source: Path, target: Target) -> Library:
        with self.progress.task(f"compiling {source.name} for {target}"):
            return cross_compilation.compile_for(target, source)


T = TypeVar("T")


def _value(result: T | ExportError) -> T:
    """The result of an attempt; raises its error."""
    if isinstance(result, ExportError):
        raise result
    return result


def describe_artifact(path: Path, conversion: ConversionInfo, info: ModelInfo) -> Artifact:
    """The manifest entry for the artifact at `path`."""
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
