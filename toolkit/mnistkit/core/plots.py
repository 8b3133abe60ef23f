"""PNG pictures of what is better looked at than read: training curves, digits."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnistkit.core.packages import missing_package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DPI = 120
COLUMNS = 10  # of a sheet of digits


def require() -> None:
    """Raise MissingExtraError unless pictures can be made here: better before the work than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise missing_package("matplotlib", "train")


def training_curves(figures: Mapping[str, Sequence[float]]) -> bytes:
    """Loss and accuracy by epoch, of training and, where there was one, of validation, as a PNG."""
    figure = _figure(9, 3.6)
    panels = figure.subplots(1, 2)
    for panel, name in zip(panels, ("loss", "accuracy"), strict=True):
        epochs = range(1, len(figures[name]) + 1)
        panel.plot(epochs, figures[name], "o-", label="training", color="#1f77b4", markersize=3)
        if validation := figures.get(f"val_{name}"):
            panel.plot(epochs, validation, "s--", label="validation", color="#d62728", markersize=3)
        panel.set_title(name)
        if name == "loss":
            panel.set_yscale("log")  # it falls by orders of magnitude
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
        panel.legend()
    return _png(figure)


def image_grid(images: NDArray[np.uint8], titles: Sequence[str]) -> bytes:
    """A sheet of images [N, height, width, channels], each under its title, as a PNG."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    lines = max(title.count("\n") for title in titles)
    figure = _figure(max(1.2 * columns, 2.4), (1.5 + 0.15 * lines) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, image, title in zip(panels, images, titles, strict=False):
        colour = image.shape[-1] == 3
        panel.imshow(image if colour else image.mean(axis=-1), cmap=None if colour else "gray_r", vmin=0, vmax=255)
        panel.set_title(title, fontsize=9 if lines == 0 else 7)
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    require()
    from matplotlib.figure import Figure  # no pyplot: it would look for a display

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()
