"""A prepared network to artifacts: converted, controlled, given their papers, written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mnistkit import bundle
from mnistkit.bundle import AccuracyControl, Artifact, ConversionInfo, Format, Metadata, Provenance, Quantization
from mnistkit.core import files, records
from mnistkit.core.errors import ExportError, MnistkitError, one_line
from mnistkit.core.packages import installed_versions, missing_package
from mnistkit.core.progress import Progress
from mnistkit.formats import onnx_file, tflite_file
from mnistkit.training import keras_models
from mnistkit_export import onnx, tflite
from mnistkit_export.accuracy_control import AccuracyTarget, quantize_with_accuracy_control
from mnistkit_export.passes import PreparedModel
from mnistkit_export.plan import CALIBRATED, ArtifactKind, ExportOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = {"tflite": tflite_file, "onnx": onnx_file}
TOOLS = {"tflite": ("tensorflow", "keras"), "onnx": ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")}
T = TypeVar("T")


@dataclass(frozen=True)
class ArtifactWriter:
    """Makes the artifacts of one bundle."""

    prepared: PreparedModel
    calibration: NDArray[np.float32]
    provenance: Provenance
    options: ExportOptions
    bound: AccuracyTarget | None
    progress: Progress

    def make(self, artifact_kinds: list[ArtifactKind], folder: Path) -> Iterator[Artifact]:
        """Write artifacts of these kinds to the folder, one after the other."""
        with tempfile.TemporaryDirectory() as scratch:
            sources: dict[Format, Any] = {}
            for format, quantization in artifact_kinds:
                if format not in sources:
                    sources[format] = getattr(self, f"_{format}_source")(Path(scratch))
                yield self._artifact(format, quantization, sources[format], folder)

    def _tflite_source(self, scratch: Path) -> tflite.Source:
        prepared, folder = self.prepared, scratch / "saved_model"
        arguments = prepared.model, folder, prepared.layers, self.calibration
        return step(self.progress, "tracing the network", tflite.trace, *arguments)

    def _onnx_source(self, scratch: Path) -> onnx.Source:
        prepared, method = self.prepared, self.options.calibration_method
        return onnx.Source(prepared.model, prepared.layers, self.calibration, method, scratch)

    def _artifact(self, format: Format, quantization: Quantization, source: Any, folder: Path) -> Artifact:
        path = folder / f"model.{quantization}.{format}"
        content, making = step(self.progress, path.name, self._made, format, quantization, source)
        files.write_bytes(path, content)
        return Artifact(**vars(bundle.describe(path)), **vars(making), **vars(FILES[format].describe(content)))

    def _made(self, format: Format, quantization: Quantization, source: Any) -> tuple[bytes, ConversionInfo]:
        content, control = self._convert(format, quantization, source)
        making = self._making(format, quantization, control)
        return FILES[format].with_metadata(content, records.to_line(Metadata(self.provenance, making))), making

    def _convert(self, format: Format, quantization: Quantization, source: Any) -> tuple[bytes, AccuracyControl | None]:
        if quantization != "int8" or self.bound is None:
            return source.convert(quantization), None
        plain = source.convert("float32")
        return quantize_with_accuracy_control(
            format, plain, lambda floats: source.convert("int8", floats), self.bound, self.progress
        )

    def _making(self, format: Format, quantization: Quantization, control: AccuracyControl | None) -> ConversionInfo:
        method = self.options.calibration_method if format == "onnx" else "minmax"
        return ConversionInfo(
            format=format,
            quantization=quantization,
            macs=keras_models.count_macs(self.prepared.model),
            parameters=keras_models.count_parameters(self.prepared.model),
            calibration_method=method if quantization in CALIBRATED else None,
            accuracy_control=control,
            tool_versions=installed_versions("mnistkit", *TOOLS[format]),
        )


def step(progress: Progress, name: str, work: Callable[..., T], *arguments: Any) -> T:
    """One piece of a conversion, its failure told as ours."""
    try:
        with progress.task(name):
            return work(*arguments)
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "train") from error
    except (MnistkitError, OSError):
        raise
    except Exception as error:  # converters raise whatever their parts raise
        reason = one_line(error, 300)
        remedy = "simplify the network, or leave this out with --format and --quantize"
        raise ExportError(f"{name} failed: {type(error).__name__}: {reason}", remedy) from error
