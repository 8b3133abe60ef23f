"""A prepared network to artifacts: converted, controlled, given their papers, written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mnistkit import bundle, files, keras_models, records
from mnistkit.bundle import Artifact, Control, Format, Making, Papers, Provenance, Quantization
from mnistkit.errors import ExportError, MnistkitError
from mnistkit.extras import missing
from mnistkit.progress import Progress
from mnistkit.versions import versions
from mnistkit_export import onnx, onnx_file, tflite, tflite_file
from mnistkit_export.control import Bound, controlled
from mnistkit_export.optimise import Prepared
from mnistkit_export.plan import CALIBRATED, Kind, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = {"tflite": tflite_file, "onnx": onnx_file}
TOOLS = {"tflite": ("tensorflow", "keras"), "onnx": ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")}
T = TypeVar("T")


@dataclass(frozen=True)
class Maker:
    """Makes the artifacts of one bundle."""

    prepared: Prepared
    calibration: NDArray[np.float32]
    provenance: Provenance
    options: Options
    bound: Bound | None
    progress: Progress

    def make(self, kinds: list[Kind], folder: Path) -> Iterator[Artifact]:
        """Write artifacts of these kinds to the folder, one after the other."""
        with tempfile.TemporaryDirectory() as scratch:
            sources: dict[Format, Any] = {}
            for format, quantization in kinds:
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

    def _made(self, format: Format, quantization: Quantization, source: Any) -> tuple[bytes, Making]:
        content, control = self._convert(format, quantization, source)
        making = self._making(format, quantization, control)
        return FILES[format].with_papers(content, records.to_line(Papers(self.provenance, making))), making

    def _convert(self, format: Format, quantization: Quantization, source: Any) -> tuple[bytes, Control | None]:
        if quantization != "int8" or self.bound is None:
            return source.convert(quantization), None
        plain = source.convert("float32")
        return controlled(format, plain, lambda floats: source.convert("int8", floats), self.bound, self.progress)

    def _making(self, format: Format, quantization: Quantization, control: Control | None) -> Making:
        method = self.options.calibration_method if format == "onnx" else "minmax"
        return Making(
            format=format,
            quantization=quantization,
            macs=keras_models.count_macs(self.prepared.model),
            parameters=keras_models.count_parameters(self.prepared.model),
            calibration_method=method if quantization in CALIBRATED else None,
            control=control,
            made_with=versions("mnistkit", *TOOLS[format]),
        )


def step(progress: Progress, name: str, work: Callable[..., T], *arguments: Any) -> T:
    """One piece of a conversion, its failure told as ours."""
    try:
        with progress.task(name):
            return work(*arguments)
    except ModuleNotFoundError as error:
        raise missing(str(error.name), "train") from error
    except (MnistkitError, OSError):
        raise
    except Exception as error:  # converters raise whatever their parts raise
        reason = " ".join(str(error).split())[:300]
        remedy = "simplify the network, or leave this out with --format and --quantize"
        raise ExportError(f"{name} failed: {type(error).__name__}: {reason}", remedy) from error
