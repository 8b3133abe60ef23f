"""Accuracy control: layers that quantization ruins go back to float, until the network is right enough."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnistkit.bundle import AccuracyControl, Format
from mnistkit.core import files
from mnistkit.core.progress import Progress
from mnistkit.data.dataset import LabeledImages
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit_export.diagnose import worst_first

DIAGNOSED = 100  # images, to find the worst layer with


@dataclass(frozen=True)
class AccuracyTarget:
    """How many points of accuracy may be lost, on which images, and how many of them the original gets right."""

    max_drop: float
    held_out: LabeledImages
    right: int

    def drop(self, right: int) -> float:
        """Percentage points that are lost where so many are right."""
        return round(100 * (self.right - right) / len(self.held_out.labels), 6)


def quantize_with_accuracy_control(
    format: Format, plain: bytes, convert: Callable[[tuple[str, ...]], bytes], bound: AccuracyTarget, progress: Progress
) -> tuple[bytes, AccuracyControl]:
    """The quantized file, with as few layers in float as the bound allows, the worst first, and which they are.

    `plain` is the file in float32; `convert` makes the quantized one, but for the layers that it is given.
    """
    floats: tuple[str, ...] = ()
    while True:
        content = convert(floats)
        drop = bound.drop(_right(format, content, bound.held_out))
        worst = () if drop <= bound.max_drop else _worst(format, plain, content, bound.held_out, floats)
        if not worst:
            return content, AccuracyControl(bound.max_drop, drop, len(bound.held_out.labels), floats)
        progress.log(f"int8 {format} loses {drop:.2f} points of {bound.max_drop:g}: to float with {', '.join(worst)}")
        floats += worst


def _worst(
    format: Format, plain: bytes, content: bytes, held_out: LabeledImages, floats: tuple[str, ...]
) -> tuple[str, ...]:
    """The layer whose own quantization is the worst, and those that it feeds: what lies between is float with both."""
    reports = worst_first(format, plain, content, held_out.images[:DIAGNOSED])
    quantized = {report.layer for report in reports if report.quantized} - set(floats)
    for report in reports:
        if found := tuple(layer for layer in (report.layer, *report.feeds) if layer in quantized):
            return found
    return ()


def _right(format: Format, content: bytes, held_out: LabeledImages) -> int:
    """How many of the images the file gets right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        files.write_bytes(path, content)
        answers = predict(default_for(format), path, held_out.images, lambda amount: None)
    return int((answers.argmax(axis=1) == held_out.labels).sum())
