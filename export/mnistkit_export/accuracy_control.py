"""Keeps layers in float until a quantized model reaches an accuracy target."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnistkit.bundle import AccuracyControl, Format
from mnistkit.core import files
from mnistkit.core.progress import Progress
from mnistkit.data.dataset import LabeledImages
from mnistkit.formats.model_file import EditableModelFile, ModelFile
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit_export.diagnose import diagnose_layers

DIAGNOSIS_IMAGES = 100


@dataclass(frozen=True)
class AccuracyTarget:
    """The accuracy that a quantized model must reach on held-out images."""

    max_drop: float  # percentage points
    held_out: LabeledImages
    correct: int  # held-out images that the original model classifies correctly

    def drop(self, correct: int) -> float:
        """The accuracy drop, in percentage points, of a model that classifies `correct` images correctly."""
        return round(100 * (self.correct - correct) / len(self.held_out.labels), 6)


def quantize_with_accuracy_control(
    format: Format,
    float32: ModelFile,
    quantize: Callable[[tuple[str, ...]], EditableModelFile],
    target: AccuracyTarget,
    progress: Progress,
) -> tuple[EditableModelFile, AccuracyControl]:
    """Quantize a model, and keep the worst layers in float, a few at a time, until it reaches the target.

    `quantize` receives the layers to keep in float. The result misses the target if no quantized layer is left.
    """
    reference = float32.to_bytes()
    float_layers: tuple[str, ...] = ()
    while True:
        quantized = quantize(float_layers)
        content = quantized.to_bytes()
        drop = target.drop(_count_correct(format, content, target.held_out))
        worst: tuple[str, ...] = ()
        if drop > target.max_drop:
            worst = _worst_layers(format, reference, content, target.held_out, float_layers)
        if not worst:
            return quantized, AccuracyControl(target.max_drop, drop, len(target.held_out.labels), float_layers)
        progress.log(
            f"int8 {format}: accuracy drop {drop:.2f} percentage points exceeds {target.max_drop:g}; "
            f"keeping in float: {', '.join(worst)}"
        )
        float_layers += worst


def _worst_layers(
    format: Format, float32: bytes, quantized: bytes, held_out: LabeledImages, float_layers: tuple[str, ...]
) -> tuple[str, ...]:
    """The layer with the largest quantization error and its consumers, so that the tensors between them are float."""
    reports = diagnose_layers(format, float32, quantized, held_out.images[:DIAGNOSIS_IMAGES])
    candidates = {report.layer for report in reports if report.is_quantized} - set(float_layers)
    for report in reports:
        layers = tuple(layer for layer in (report.layer, *report.consumers) if layer in candidates)
        if layers:
            return layers
    return ()


def _count_correct(format: Format, content: bytes, images: LabeledImages) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        files.write_bytes(path, content)
        probabilities = predict(default_for(format), path, images.images, lambda amount: None)
    return int((probabilities.argmax(axis=1) == images.labels).sum())
