"""Measures the quantization error of each layer, against the float32 artifact of the same format."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import EXPORT_AGAIN, Artifact, Bundle, Format
from mnistkit.core import records
from mnistkit.core.errors import BundleError, ExportError
from mnistkit.core.images import TemporaryImages
from mnistkit.core.processes import Message, WorkerProcess
from mnistkit.core.progress import SILENT, Progress
from mnistkit_export import onnx_layers, tflite_layers
from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair

TINY = 1e-30  # keeps the SNR of an all-zero signal finite
MAX_SNR_DB = 100.0
WORKER = "mnistkit_export.diagnose_worker"
TIMEOUT_SECONDS = 600.0  # for one artifact
COMPARE = {"tflite": tflite_layers.compare, "onnx": onnx_layers.compare}


@dataclass(frozen=True)
class ErrorMetrics:
    """The error of a tensor against float32."""

    snr_db: float | None  # signal-to-noise ratio: 10·log10(Σ value² / Σ error²), in decibels; None if there is no error
    cosine: float  # similarity
    max_error: records.NonNegative
    saturated: records.Share  # share of the float32 values outside the range of the stored type


@dataclass(frozen=True)
class LayerReport:
    """The quantization error of one layer."""

    layer: str
    operator: str
    consumers: tuple[str, ...]  # the layers that read its activations
    # The error of quantizing the layer's float32 activations, without errors of earlier layers: the SNR in decibels,
    # at most 100 for each channel, averaged over the channels. None if the activations are float.
    activation_snr_db: float | None
    cumulative: ErrorMetrics  # of the activations, with all layers up to this one quantized
    weights: ErrorMetrics | None  # None if there are none, or they are unchanged

    @property
    def is_quantized(self) -> bool:
        """Whether the activations or the weights are quantized."""
        return self.activation_snr_db is not None or self.weights is not None


@dataclass(frozen=True)
class ArtifactReport:
    """The quantization error of the layers of one artifact, the largest first."""

    artifact: str
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True)
class Diagnosis(records.Record, schema="diagnosis", version=1):
    """The result of `diagnose`."""

    bundle_sha256: str  # of the manifest
    images: records.Count
    artifacts: tuple[ArtifactReport, ...]


def diagnose(bundle: Bundle, count: int, progress: Progress = SILENT) -> Diagnosis:
    """Run the first `count` test images through each quantized artifact of the bundle, layer by layer.

    Each artifact is run in a process of its own. Raises BundleError if no artifact is quantized, or one has no float32
    artifact of its format to compare with; WorkerError if an artifact can't be run.
    """
    images = bundle.evaluation_set().images[:count]
    stored = TemporaryImages(images.shape[1:])
    stored.append(images)
    reports = []
    for artifact, float32 in _pairs(bundle):
        with progress.task(f"diagnosing {artifact.file}"):
            job = {
                "format": artifact.format,
                "float32": str(bundle.file(float32)),
                "quantized": str(bundle.file(artifact)),
                "images": str(stored.path),
                "shape": stored.shape,
            }
            reports.append(ArtifactReport(artifact.file, _diagnose_in_worker(artifact.file, job)))
    return Diagnosis(bundle.manifest_sha256, len(images), tuple(reports))


def _diagnose_in_worker(name: str, job: Message) -> tuple[LayerReport, ...]:
    worker = WorkerProcess(WORKER, f"diagnosing {name}", EXPORT_AGAIN)
    try:
        worker.send(job)
        layers = worker.receive(TIMEOUT_SECONDS)["layers"]
    finally:
        worker.close()
    return tuple(records.decode(LayerReport, layer, "") for layer in layers)


def _pairs(bundle: Bundle) -> list[tuple[Artifact, Artifact]]:
    """Each quantized artifact and the float32 artifact of its format; C computes what its int8 TFLite file does."""
    artifacts = [artifact for artifact in bundle.manifest.artifacts if artifact.format in COMPARE]
    float32 = {artifact.format: artifact for artifact in artifacts if artifact.quantization == "float32"}
    quantized = [artifact for artifact in artifacts if artifact.quantization != "float32"]
    remedy = "export float32 and a quantization of the same format"
    if not quantized:
        raise BundleError(f"{bundle.path} has no quantized artifact", remedy)
    if unpaired := [artifact.file for artifact in quantized if artifact.format not in float32]:
        raise BundleError(f"{bundle.path} has no float32 artifact to compare {', '.join(unpaired)} with", remedy)
    return [(artifact, float32[artifact.format]) for artifact in quantized]


def diagnose_layers(format: Format, float32: bytes, quantized: bytes, images: NDArray[np.uint8]) -> list[LayerReport]:
    """The quantization error of each layer of a quantized file, the largest first.

    Raises ExportError if the files have different operators, or values are not finite.
    """
    return sorted((_report(values) for values in COMPARE[format](float32, quantized, images)), key=_lowest_snr)


def _lowest_snr(report: LayerReport) -> tuple[float, float]:
    """The sort key: the layer's own error first, then the cumulative error."""
    weights = report.weights.snr_db if report.weights else None
    own = min(_or_infinite(report.activation_snr_db), _or_infinite(weights))
    return own, _or_infinite(report.cumulative.snr_db)


def _or_infinite(snr_db: float | None) -> float:
    return math.inf if snr_db is None else snr_db


def _report(values: LayerValues) -> LayerReport:
    weights = values.weights
    for pair in (values.activations, weights):
        if pair and not (np.isfinite(pair.float32).all() and np.isfinite(pair.quantized).all()):
            raise ExportError(f"{values.layer} has values that are not finite", "train the model again")
    changed = weights is not None and (weights.float32 != weights.quantized).any()
    return LayerReport(
        values.layer,
        values.operator,
        values.consumers,
        _activation_snr_db(values),
        _error_metrics(values.activations, values.activation_params),
        _error_metrics(weights, values.weight_params) if weights and changed else None,
    )


def _error_metrics(pair: TensorPair, params: QuantParams | None) -> ErrorMetrics:
    before, after = (part.astype(np.float64).ravel() for part in (pair.float32, pair.quantized))
    error = after - before
    signal, noise = float(before @ before), float(error @ error)
    norms = math.sqrt(signal * float(after @ after))
    return ErrorMetrics(
        snr_db=round(10 * math.log10(max(signal, TINY) / noise), 2) if noise else None,
        cosine=round(float(before @ after) / norms, 6) if norms else float(not noise),
        max_error=float(abs(error).max()),
        saturated=params.saturation(pair.float32) if params else 0.0,
    )


def _activation_snr_db(values: LayerValues) -> float | None:
    if values.activation_params is None:
        return None
    activations = values.activations.float32
    error = values.activation_params.fake_quantize(activations) - activations
    other_axes = tuple(axis for axis in range(activations.ndim) if axis != values.channel_axis % activations.ndim)
    signal, noise = (np.square(part, dtype=np.float64).sum(axis=other_axes) for part in (activations, error))
    nonzero = signal > 0
    if not nonzero.any():
        return MAX_SNR_DB
    ratios = signal[nonzero] / np.maximum(noise[nonzero], TINY * signal[nonzero])
    return round(float(np.minimum(10 * np.log10(ratios), MAX_SNR_DB).mean()), 2)
