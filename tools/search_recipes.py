"""Search for the recipes `cnn-tuned` and `edge`: train variants on 50,000 images and evaluate them on the other 10,000.

    python tools/search_recipes.py                  all variants that are not recorded yet
    python tools/search_recipes.py tuned-late       the named variants only

Each run adds a line to docs/records/search.jsonl. The test set is not used.
"""

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
from recipe_records import SEARCH

SEED = 11

EDGE, TUNED = (replace(RECIPES[name], validation="last") for name in ("edge", "cnn-tuned"))
RESCALING = EDGE.layers[0]
POOL = layer("MaxPooling2D", pool_size=2)


def pooled(first: int, second: int, third: int) -> tuple[Layer, ...]:
    """Three convolutions with these numbers of filters, the first strided, and pooling before the third."""
    convolutions = *conv_bn(first, 5, 2), *conv_bn(second), POOL, *conv_bn(third)
    return (RESCALING, *convolutions, layer("Flatten"), softmax())


def strided(*convolutions: tuple[int, int, int], end: tuple[Layer, ...] = ()) -> tuple[Layer, ...]:
    """Convolutions, each as (filters, kernel size, stride), with the layers `end` before Flatten."""
    layers = chain.from_iterable(conv_bn(*convolution) for convolution in convolutions)
    return (RESCALING, *layers, *end, layer("Flatten"), softmax())


def dropout(rate: float) -> tuple[Layer, ...]:
    """A dropout layer, to be used as `end`."""
    return (layer("Dropout", rate=rate),)


def padded(*end: Layer) -> tuple[Layer, ...]:
    """Strided convolutions, the first with a kernel of 5×5 and padding."""
    first = layer("Conv2D", filters=16, kernel_size=5, strides=2, padding="same", use_bias=False)
    following = strided((32, 3, 2), (32, 3, 1), end=end)[1:]
    return (RESCALING, first, *conv_bn(16)[1:], *following)


SMALL = (16, 3, 2), (32, 3, 2), (32, 3, 1)
NETWORKS = {
    # XNNPACK computes tiles of 16 channels: 22 and 40 filters take as long as 32 and 48.
    "edge-normalized-50": pooled(16, 22, 40),
    "edge-normalized-16-16-64": pooled(16, 16, 64),
    "edge-strided-16-32-32": strided(*SMALL),
    "edge-strided-16-32-32-wide": strided((16, 5, 2), *SMALL[1:]),
    "edge-strided-16-32-48-pooled": strided(*SMALL[:2], (48, 3, 1), end=(POOL,)),
    "edge-strided-24-32-32": strided((24, 3, 2), *SMALL[1:]),
    "edge-strided-dropout": strided(*SMALL, end=dropout(0.2)),
    "edge-strided-dropout-more": strided(*SMALL, end=dropout(0.4)),
    "edge-strided-dropout-late": (RESCALING, conv(16, strides=2), *strided(*SMALL, end=dropout(0.4))[4:]),
    "edge-strided-padded": padded(),
    "edge-strided-padded-dropout": padded(*dropout(0.2)),
}
VARIANTS = {name: replace(EDGE, epochs=50, layers=layers) for name, layers in NETWORKS.items()}
VARIANTS["tuned-late"] = replace(TUNED, epochs=25)


def train_variant(name: str) -> None:
    """Train one variant and add a line to the record."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = train(VARIANTS[name], mnist.load(), SEED, folder, progress=terminal.Terminal())
        history = records.read(folder / "history.json", History, "")
    result = {
        "variant": name,
        "validation_accuracy": run.validation_accuracy,
        "validation_loss": history.metrics["val_loss"][-1],
        "seconds": run.training_seconds,
        "parameters": run.parameters,
        "macs": run.macs,
        "recipe": asdict(VARIANTS[name]),
    }
    with SEARCH.open("a") as file:
        file.write(json.dumps(result) + "\n")


def main() -> None:
    """Train the named variants, or all that are not recorded yet, each in its own process."""
    recorded = {json.loads(line)["variant"] for line in SEARCH.read_text().splitlines()} if SEARCH.exists() else set()
    for name in sys.argv[1:] or [name for name in VARIANTS if name not in recorded]:
        process = get_context("spawn").Process(target=train_variant, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
