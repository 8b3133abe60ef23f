"""What quantization did to a network, layer by layer: an artifact beside the float32 one of its format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mnistkit.bundle import Artifact, Bundle, Format
from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, ExportError
from mnistkit.core.progress import SILENT, Progress
from mnistkit_export import onnx_layers, tflite_layers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair

TINY = 1e-30  # keeps the ratio of an all-zero signal finite
MOST_DB = 100.0
LAYERS = {"tflite": tflite_layers.compare, "onnx": onnx_layers.compare}


@dataclass(frozen=True)
class ErrorMetrics:
    """How far values are from what they were in float32; without error, the ratio and the cosine have no end."""

    snr_db: float | None  # signal-to-noise ratio: 10·log10(Σ value² / Σ error²), in decibels; None: no error
    cosine: float  # of the angle between what it was and what it is
    max_error: float
    clipped: float  # the share of the values that lie outside what their type can hold


@dataclass(frozen=True)
class LayerReport:
    """What quantization did to one layer."""

    layer: str
    operator: str
    feeds: tuple[str, ...]  # the layers that take its activations
    # What storing its activations costs by itself, without the errors that came in: the mean over the channels of
    # their signal-to-noise ratios in decibels, each 100 at most. None: they are stored in float.
    activation_snr_db: float | None
    activations: ErrorMetrics  # of all that was quantized up to here
    weights: ErrorMetrics | None  # None: it has none, or they are as they were

    @property
    def quantized(self) -> bool:
        """Whether anything of it is stored in fewer bits."""
        return self.activation_snr_db is not None or self.weights is not None


@dataclass(frozen=True)
class ArtifactReport:
    """The layers of one artifact, the worst first."""

    artifact: str
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True)
class Diagnosis(records.Record):
    """What `diagnose` found."""

    schema: ClassVar[str] = "diagnosis"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    images: int
    artifacts: tuple[ArtifactReport, ...]


def diagnose(bundle: Bundle, count: int, progress: Progress = SILENT) -> Diagnosis:
    """Run `count` images of the test set through each quantized artifact of the bundle, layer by layer.

    Raises BundleError where nothing is quantized, or there is no float32 artifact to compare with.
    """
    images = bundle.evaluation_set().images[:count]
    reports = []
    for artifact, plain in _pairs(bundle):
        with progress.task(f"diagnosing {artifact.file}"):
            before, after = (files.read_bytes(bundle.file(file)) for file in (plain, artifact))
            reports.append(ArtifactReport(artifact.file, tuple(worst_first(artifact.format, before, after, images))))
    return Diagnosis(bundle.manifest_sha256, len(images), tuple(reports))


def _pairs(bundle: Bundle) -> list[tuple[Artifact, Artifact]]:
    """Each quantized artifact, and the one in float32 beside it."""
    plain = {artifact.format: artifact for artifact in bundle.manifest.artifacts if artifact.quantization == "float32"}
    quantized = [artifact for artifact in bundle.manifest.artifacts if artifact.quantization != "float32"]
    remedy = "export float32 and a quantization of the same format"
    if not quantized:
        raise BundleError(f"{bundle.path} holds nothing quantized", remedy)
    if without := [artifact.file for artifact in quantized if artifact.format not in plain]:
        raise BundleError(f"{bundle.path} has no float32 artifact to compare {', '.join(without)} with", remedy)
    return [(artifact, plain[artifact.format]) for artifact in quantized]


def worst_first(format: Format, plain: bytes, quantized: bytes, images: NDArray[np.uint8]) -> list[LayerReport]:
    """The layers of a quantized file beside the same in float32, the one first whose own quantization is the worst."""
    return sorted((_report(values) for values in LAYERS[format](plain, quantized, images)), key=_badness)


def _badness(report: LayerReport) -> tuple[float, float]:
    """By what it does itself; where that says nothing, by what came of it."""
    weights = report.weights.snr_db if report.weights else None
    own, all_in_all = (report.activation_snr_db, weights), report.activations.snr_db
    return min(_or_exact(own[0]), _or_exact(own[1])), _or_exact(all_in_all)


def _or_exact(snr_db: float | None) -> float:
    return math.inf if snr_db is None else snr_db


def _report(values: LayerValues) -> LayerReport:
    import numpy as np

    weights = values.weights
    for pair in filter(None, (values.activations, weights)):
        if not all(np.isfinite(part).all() for part in (pair.before, pair.after)):
            raise ExportError(f"{values.layer} gives values that are not finite", "train the network again")
    return LayerReport(
        values.layer,
        values.operator,
        values.feeds,
        _storage_snr_db(values),
        _damage(values.activations, values.storage),
        _damage(weights, values.weight_storage) if weights and (weights.before != weights.after).any() else None,
    )


def _damage(pair: TensorPair, storage: QuantParams | None) -> ErrorMetrics:
    import numpy as np

    before, after = (part.astype(np.float64).ravel() for part in (pair.before, pair.after))
    error = after - before
    signal, noise = float(before @ before), float(error @ error)
    norms = math.sqrt(signal * float(after @ after))
    return ErrorMetrics(
        snr_db=round(10 * math.log10(max(signal, TINY) / noise), 2) if noise else None,
        cosine=round(float(before @ after) / norms, 6) if norms else float(not noise),
        max_error=float(abs(error).max()),
        clipped=storage.saturation(pair.before) if storage else 0.0,
    )


def _storage_snr_db(values: LayerValues) -> float | None:
    import numpy as np

    if values.storage is None:
        return None
    before = values.activations.before
    error = values.storage.fake_quantize(before) - before
    others = tuple(axis for axis in range(before.ndim) if axis != values.channel_axis % before.ndim)
    signal, noise = (np.square(part, dtype=np.float64).sum(axis=others) for part in (before, error))
    alive = signal > 0
    if not alive.any():
        return MOST_DB
    ratios = signal[alive] / np.maximum(noise[alive], TINY * signal[alive])
    return round(float(np.minimum(10 * np.log10(ratios), MOST_DB).mean()), 2)
