"""Accuracy control: layers that quantization ruins go back to float, until the network is right enough."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnistkit import files
from mnistkit.bundle import Control, Format
from mnistkit.data.dataset import Labelled
from mnistkit.progress import Progress
from mnistkit.runtimes import RUNTIMES
from mnistkit.runtimes.inference import predict
from mnistkit_export.diagnose import worst_first

DIAGNOSED = 100  # images, to find the worst layer with


@dataclass(frozen=True)
class Bound:
    """How many points of accuracy may be lost, on which images, and how right the original is on them."""

    max_drop: float
    held_out: Labelled
    original: float  # share of right answers


def controlled(
    format: Format, plain: bytes, convert: Callable[[tuple[str, ...]], bytes], bound: Bound, progress: Progress
) -> tuple[bytes, Control]:
    """The quantized file, with as few layers in float as the bound allows, the worst first, and which they are.

    `plain` is the file in float32; `convert` makes the quantized one, but for the layers that it is given.
    """
    floats: tuple[str, ...] = ()
    while True:
        content = convert(floats)
        drop = 100 * (bound.original - _accuracy(format, content, bound.held_out))
        worst = () if drop <= bound.max_drop else _worst(format, plain, content, bound.held_out, floats)
        if not worst:
            return content, Control(bound.max_drop, round(drop, 3), len(bound.held_out.labels), floats)
        progress.say(f"int8 {format} loses {drop:.2f} points of {bound.max_drop:g}: to float with {', '.join(worst)}")
        floats += worst


def _worst(
    format: Format, plain: bytes, content: bytes, held_out: Labelled, floats: tuple[str, ...]
) -> tuple[str, ...]:
    """The layer whose own quantization is the worst, and those that it feeds: what lies between is float with both."""
    for report in worst_first(format, plain, content, held_out.images[:DIAGNOSED]):
        if quantized := tuple(layer for layer in (report.layer, *report.feeds) if layer not in floats):
            return quantized
    return ()


def _accuracy(format: Format, content: bytes, held_out: Labelled) -> float:
    (runtime,) = (runtime for runtime in RUNTIMES.values() if runtime.format == format)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        files.write_bytes(path, content)
        answers = predict(runtime, path, held_out.images, lambda amount: None)
    return float((answers.argmax(axis=1) == held_out.labels).mean())
