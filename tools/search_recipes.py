"""The search for our own recipes: variants, each trained on 50,000 images and judged on the 10,000 held out.

    python benchmarks/search.py                     every variant that is not recorded yet
    python benchmarks/search.py tuned-late          these alone

What came out is kept in docs/records/search.jsonl, one line a run. The test set plays no part in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, replace
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from mnistkit.cli import terminal
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.training.recipes import RECIPES, Layer, conv, conv_bn, layer, softmax
from mnistkit.training.train import History, train

RECORD = Path(__file__).parent.parent / "docs" / "records" / "search.jsonl"
SEED = 11

EDGE, TUNED = (replace(RECIPES[name], validation="last") for name in ("edge", "cnn-tuned"))
POOL = layer("MaxPooling2D", pool_size=2)


def pooled(first: int, second: int, third: int) -> tuple[Layer, ...]:
    """Where the search began: a stride, a pooling, and these numbers of filters."""
    convolutions = *conv_bn(first, 5, 2), *conv_bn(second), POOL, *conv_bn(third)
    return (EDGE.layers[0], *convolutions, layer("Flatten"), softmax())


def strided(*convolutions: tuple[int, int, int], end: tuple[Layer, ...] = ()) -> tuple[Layer, ...]:
    """Convolutions, each by its filters, kernel and stride, that shrink the image by striding alone."""
    return (EDGE.layers[0], *chain(*(conv_bn(*each) for each in convolutions)), *end, layer("Flatten"), softmax())


def dropout(rate: float) -> tuple[Layer, ...]:
    """Before the last layer."""
    return (layer("Dropout", rate=rate),)


def padded(*end: Layer) -> tuple[Layer, ...]:
    """Strides again, behind a wider window that sees the border too."""
    first = layer("Conv2D", filters=16, kernel_size=5, strides=2, padding="same", use_bias=False)
    others = strided((32, 3, 2), (32, 3, 1), end=end)[1:]
    return (EDGE.layers[0], first, *conv_bn(16)[1:], *others)


SMALL = (16, 3, 2), (32, 3, 2), (32, 3, 1)
NETWORKS = {
    "edge-normalised-50": pooled(16, 22, 40),
    # XNNPACK computes in tiles of 16 channels, so what lies between is paid for and not used.
    "edge-normalised-16-16-64": pooled(16, 16, 64),
    "edge-strided-16-32-32": strided(*SMALL),
    "edge-strided-16-32-32-wide": strided((16, 5, 2), *SMALL[1:]),
    "edge-strided-16-32-48-pooled": strided(*SMALL[:2], (48, 3, 1), end=(POOL,)),
    "edge-strided-24-32-32": strided((24, 3, 2), *SMALL[1:]),
    "edge-strided-dropout": strided(*SMALL, end=dropout(0.2)),
    "edge-strided-dropout-more": strided(*SMALL, end=dropout(0.4)),
    "edge-strided-dropout-late": (EDGE.layers[0], conv(16, strides=2), *strided(*SMALL, end=dropout(0.4))[4:]),
    "edge-strided-padded": padded(),
    "edge-strided-padded-dropout": padded(*dropout(0.2)),
}
VARIANTS = {name: replace(EDGE, epochs=50, layers=layers) for name, layers in NETWORKS.items()}
VARIANTS["tuned-late"] = replace(TUNED, epochs=25)


def run(name: str) -> None:
    """Train one variant and add a line to the record."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = train(VARIANTS[name], mnist.load(), SEED, folder, progress=terminal.Terminal())
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
