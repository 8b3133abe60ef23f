"""PNG plots: training curves and grids of images."""

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.packages import missing_package

DPI = 120
GRID_COLUMNS = 10


def require() -> None:
    """Raise MissingExtraError if matplotlib is not installed. For use before slow work."""
    if importlib.util.find_spec("matplotlib") is None:
        raise missing_package("matplotlib", "train")


def training_curves(metrics: Mapping[str, Sequence[float]]) -> bytes:
    """Loss and accuracy by epoch, as a PNG.

    `metrics` has the keys of a Keras history: loss and accuracy, and val_loss and val_accuracy if images were held out.
    """
    figure = _figure(9, 3.6)
    panels = figure.subplots(1, 2)
    for panel, name in zip(panels, ("loss", "accuracy"), strict=True):
        epochs = range(1, len(metrics[name]) + 1)
        panel.plot(epochs, metrics[name], "o-", label="training", color="#1f77b4", markersize=3)
        if validation := metrics.get(f"val_{name}"):
            panel.plot(epochs, validation, "s--", label="validation", color="#d62728", markersize=3)
        panel.set_title(name)
        if name == "loss":
            panel.set_yscale("log")  # the loss falls by orders of magnitude
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
        panel.legend()
    return _png(figure)


def image_grid(images: NDArray[np.uint8], titles: Sequence[str]) -> bytes:
    """A grid of images [N, height, width, channels] with a title above each, as a PNG."""
    columns = min(GRID_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    title_lines = 1 + max(title.count("\n") for title in titles)
    figure = _figure(max(1.2 * columns, 2.4), (1.35 + 0.15 * title_lines) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, image, title in zip(panels, images, titles, strict=False):  # the last row may have empty panels
        if image.shape[-1] == 3:
            panel.imshow(image)
        else:
            panel.imshow(image.mean(axis=-1), cmap="gray_r", vmin=0, vmax=255)
        panel.set_title(title, fontsize=9 if title_lines == 1 else 7)
    return _png(figure)


def bar_charts(charts: Mapping[str, Mapping[str, tuple[float, float]]]) -> bytes:
    """Horizontal bars with error bars under a title each, as a PNG: a value and half of its 95% CI by name."""
    bars = sum(map(len, charts.values()))
    figure = _figure(8, 0.7 * len(charts) + 0.28 * bars)
    heights = [len(chart) + 2 for chart in charts.values()]
    panels = figure.subplots(len(charts), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).ravel()
    for panel, (title, chart) in zip(panels, charts.items(), strict=True):
        values, errors = zip(*chart.values(), strict=True)
        panel.barh(range(len(chart)), values, xerr=errors, color="#1f77b4", ecolor="#555555")
        panel.set_yticks(range(len(chart)), list(chart), fontsize=8)
        panel.invert_yaxis()
        panel.set_title(title, fontsize=9, loc="left")
        panel.set_xlabel("µs", fontsize=8)
        panel.grid(axis="x", alpha=0.3)
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    require()
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()
