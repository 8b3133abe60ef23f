"""The search for our own recipes: variants, each trained on 50,000 images and judged on the 10,000 held out.

    python benchmarks/search.py                     every variant that is not recorded yet
    python benchmarks/search.py tuned tuned-strong  these alone

What came out is kept in docs/records/search.jsonl, one line a run. The test set plays no part in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from mnistkit import console, records
from mnistkit.data import mnist
from mnistkit.recipes import (
    CNN_LAYERS,
    RECIPES,
    Augmentation,
    Layer,
    Optimizer,
    Recipe,
    conv,
    layer,
    normalised,
    softmax,
)
from mnistkit.training import History, train

RECORD = Path(__file__).parent.parent / "docs" / "records" / "search.jsonl"
SEED = 11

EDGE, TUNED = (replace(RECIPES[name], validation="last") for name in ("edge", "cnn-tuned"))
STRONG = Augmentation(rotation=15, shift=2.5, zoom=0.2, shear=0.2)
MILD = Augmentation(rotation=7, shift=1.5, zoom=0.07, shear=0.07)


def small(first: int, second: int, third: int, convolution: Callable[..., tuple[Layer, ...]]) -> tuple[Layer, ...]:
    """The edge network as it was, with one pooling, with these numbers of filters."""
    pool = layer("MaxPooling2D", pool_size=2)
    convolutions = convolution(first, 5, 2), convolution(second), (pool,), convolution(third)
    return (EDGE.layers[0], *chain(*convolutions), layer("Flatten"), softmax())


def strided(*convolutions: tuple[int, int, int], end: tuple[Layer, ...] = ()) -> tuple[Layer, ...]:
    """Convolutions, each by its filters, kernel and stride, that shrink the image by striding alone."""
    return (EDGE.layers[0], *chain(*(normalised(*each) for each in convolutions)), *end, layer("Flatten"), softmax())


def dropped(rate: float) -> tuple[Layer, ...]:
    """Strides, and dropout before the last layer."""
    end = (layer("Dropout", rate=rate),) if rate else ()
    return strided((16, 3, 2), (32, 3, 2), (32, 3, 1), end=end)


def padded(*end: Layer) -> tuple[Layer, ...]:
    """Strides again, behind a wider window that sees the border too."""
    first = layer("Conv2D", filters=16, kernel_size=5, strides=2, padding="same", use_bias=False)
    others = strided((32, 3, 2), (32, 3, 1), end=end)[1:]
    return (EDGE.layers[0], first, *normalised(16)[1:], *others)


def plain(*arguments: int) -> tuple[Layer, ...]:
    """A convolution without batch normalisation."""
    return (conv(*arguments),)


# The edge network as plain convolutions, which it was at the start of the search.
PLAIN = replace(EDGE, epochs=30, layers=small(16, 22, 40, plain))
VARIANTS: dict[str, Recipe] = {
    "edge-plain": PLAIN,
    "edge-plain-strong": replace(PLAIN, augmentation=STRONG),
    "edge-normalised": replace(EDGE, epochs=30, layers=small(16, 22, 40, normalised)),
    "edge-normalised-50": replace(EDGE, epochs=50, layers=small(16, 22, 40, normalised)),
    "edge-normalised-strong": replace(EDGE, epochs=30, layers=small(16, 22, 40, normalised), augmentation=STRONG),
    "edge-normalised-12-24-48": replace(EDGE, epochs=50, layers=small(12, 24, 48, normalised)),
    "edge-normalised-20-20-40": replace(EDGE, epochs=30, layers=small(20, 20, 40, normalised)),
    # XNNPACK computes in tiles of 16 channels, so what lies between is paid for and not used.
    "edge-normalised-16-16-64": replace(EDGE, epochs=50, layers=small(16, 16, 64, normalised)),
    "edge-strided-16-32-32": replace(EDGE, epochs=50, layers=dropped(0)),
    "edge-strided-16-32-32-wide": replace(EDGE, epochs=50, layers=strided((16, 5, 2), (32, 3, 2), (32, 3, 1))),
    "edge-strided-mild": replace(EDGE, epochs=50, layers=dropped(0), augmentation=MILD),
    "edge-strided-16-32-48-pooled": replace(
        EDGE,
        epochs=50,
        layers=strided((16, 3, 2), (32, 3, 2), (48, 3, 1), end=(layer("MaxPooling2D", pool_size=2),)),
    ),
    "edge-strided-24-32-32": replace(EDGE, epochs=50, layers=strided((24, 3, 2), (32, 3, 2), (32, 3, 1))),
    "edge-strided-dropout": replace(EDGE, epochs=50, layers=dropped(0.2)),
    "edge-strided-dropout-more": replace(EDGE, epochs=50),
    "edge-strided-padded": replace(EDGE, epochs=50, layers=padded()),
    "edge-strided-padded-dropout": replace(EDGE, epochs=50, layers=padded(layer("Dropout", rate=0.2))),
    "tuned": replace(TUNED, epochs=25, layers=CNN_LAYERS),
    "tuned-strong": replace(TUNED, augmentation=STRONG),
    "tuned-fast": replace(TUNED, optimizer=Optimizer("adam", 0.004)),
    "tuned-slow": replace(TUNED, optimizer=Optimizer("adam", 0.001)),
    "tuned-late": replace(TUNED, epochs=25),
}


def run(name: str) -> None:
    """Train one variant and add a line to the record."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = train(VARIANTS[name], mnist.load(), SEED, folder, progress=console.Terminal())
        figures = records.read(folder / "history.json", History, "").figures
    line = {
        "variant": name,
        "validation_accuracy": made.validation_accuracy,
        "validation_loss": figures["val_loss"][-1],
        "seconds": made.training_seconds,
        "parameters": made.parameters,
        "macs": made.macs,
        "recipe": asdict(VARIANTS[name]),
    }
    with RECORD.open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Run what is asked for, or what is missing, each in a process of its own."""
    recorded = {json.loads(line)["variant"] for line in RECORD.read_text().splitlines()} if RECORD.exists() else set()
    for name in sys.argv[1:] or [name for name in VARIANTS if name not in recorded]:
        process = get_context("spawn").Process(target=run, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
