"""Values to what people read: text and rich tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mnistkit.bundle import Bundle, Contents
    from mnistkit.keras_models import LayerSummary
    from mnistkit.parity import Parity
    from mnistkit.prediction import Answer
    from mnistkit.recipes import Recipe
    from mnistkit.training import Run
    from mnistkit.verification import VerifyReport
    from mnistkit_bench.results import BenchReport

SHADES = " ░▒▓█"
BAR_WIDTH = 50
_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def kilobytes(count: int) -> str:
    """Bytes in units of 1,000."""
    return f"{count / 1000:,.1f}"


def percent(share: float) -> str:
    """A share of 1, such as an accuracy, in percent."""
    return f"{100 * share:.2f}%"


def points(difference: float) -> str:
    """A difference of percentages, signed."""
    return f"{difference:+.2f}"


def microseconds(value: float) -> str:
    """A latency."""
    return f"{value:,.1f}"


def verdict(parity: Parity) -> Text:
    """PASS, FAIL or INCONCLUSIVE, coloured."""
    return Text(parity.verdict, _STYLES[parity.verdict])


def table(title: str, left: tuple[str, ...], right: tuple[str, ...], caption: str = "") -> Table:
    """An empty table with names in the columns `left` and figures in the columns `right`."""
    grid = Table(title=title, caption=caption or None, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.title_justify = grid.caption_justify = "left"
    for name in left:
        grid.add_column(name, no_wrap=True)
    for name in right:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def run_line(run: Run) -> str:
    """What was trained, and what came of it."""
    published = f" (published: {run.published.measure} {percent(run.published.value)})" if run.published else ""
    return (
        f"{run.recipe}: {run.parameters:,} parameters, {run.macs:,} MACs, {run.epochs} epochs on {run.data} "
        f"in {run.training_seconds:.0f} s; test accuracy {percent(run.test_accuracy)}{published}"
    )


def recipes_table(recipes: Iterable[Recipe]) -> Table:
    """One line a recipe."""
    grid = table("", ("recipe", "what it is", "optimizer"), ("batch", "epochs", "published"))
    for recipe in recipes:
        published = percent(recipe.published.value) if recipe.published else ""
        figures = str(recipe.batch_size), str(recipe.epochs), published
        grid.add_row(recipe.name, recipe.summary, recipe.optimizer.name, *figures)
    return grid


def recipe_text(recipe: Recipe) -> str:
    """All that a recipe says but its layers."""
    lines = [
        f"{recipe.name}: {recipe.summary}",
        f"source: {recipe.source}",
        f"training: {recipe.optimizer}, batches of {recipe.batch_size}, {recipe.epochs} epochs",
        f"held out: {recipe.validation}",
    ]
    if recipe.augmentation:
        moved = recipe.augmentation
        lines.append(
            f"augmentation: turned by ±{moved.rotation:g}°, shifted by ±{moved.shift:g} pixels, "
            f"zoomed by e^±{moved.zoom:g}, sheared by ±{moved.shear:g}"
        )
    if recipe.published:
        lines.append(f"published: {recipe.published.measure} {percent(recipe.published.value)}")
    return "\n".join(lines)


def network_table(layers: Sequence[LayerSummary]) -> Table:
    """One line a layer, and their sum."""
    grid = table("", ("layer", "kind", "output"), ("parameters", "MACs"))
    for row in layers:
        grid.add_row(row.name, row.kind, "×".join(map(str, row.output)), f"{row.parameters:,}", f"{row.macs:,}")
    grid.add_section()
    grid.add_row("all", "", "", f"{sum(row.parameters for row in layers):,}", f"{sum(row.macs for row in layers):,}")
    return grid


def blocks(image: NDArray[np.uint8]) -> str:
    """An image [height, width, channels] in shades of two characters a pixel, for a terminal."""
    shades = image.mean(axis=-1) * len(SHADES) / 256
    return "\n".join("".join(SHADES[int(shade)] * 2 for shade in row).rstrip() for row in shades)


def answer_text(answer: Answer) -> Text:
    """The probabilities of one image as bars, the answer marked, and whether it is right."""
    lines = Text()
    width = max(3, *map(len, answer.names))
    for label, (name, probability) in enumerate(zip(answer.names, answer.probabilities, strict=True)):
        bar = "█" * round(BAR_WIDTH * probability)
        style = "bold" if label == answer.label else ""
        lines.append(f"{name:>{width}} {100 * probability:6.2f}% {bar}".rstrip() + "\n", style)
    right = answer.label == answer.truth
    lines.append(answer.names[answer.label], "bold")
    truth = answer.names[answer.truth]
    lines.append(f", and it is {truth}: " + ("right" if right else "wrong"), "green" if right else "red")
    return lines


def summary_table(verified: VerifyReport, measured: BenchReport) -> Table:
    """One line an artifact and runtime: is it right, how fast is it, how large is it."""
    grid = table("", ("artifact", "runtime"), ("accuracy", "verdict", "p50 µs", "p99 µs", "kB"))
    by_threads = sorted(measured.measurements, key=lambda row: -row.threads)
    measurements = {(row.artifact, row.runtime): row for row in by_threads}  # of several, the fewest threads
    for row in verified.rows:
        measured_cells = ["", "", ""]
        if found := measurements.get((row.artifact, row.runtime)):
            latency = found.latency
            p99 = "–" if latency.p99 is None else microseconds(latency.p99)
            measured_cells = [microseconds(latency.p50), p99, kilobytes(found.bytes)]
        grid.add_row(row.artifact, row.runtime, percent(row.parity.accuracy), verdict(row.parity), *measured_cells)
    return grid


def wheels_table(wheels: Sequence[Path]) -> Table:
    """One line a wheel, and their sum."""
    grid = table("", ("wheel",), ("kB",))
    sizes = [wheel.stat().st_size for wheel in wheels]
    for wheel, size in zip(wheels, sizes, strict=True):
        grid.add_row(wheel.name, kilobytes(size))
    grid.add_section()
    grid.add_row("all", kilobytes(sum(sizes)))
    return grid


def bundle_table(bundle: Bundle) -> Table:
    """One line an artifact."""
    grid = table(f"Bundle {bundle.path}", ("artifact", "input", "output", "oldest runtime"), ("kB",))
    for artifact in bundle.manifest.artifacts:
        tensors = artifact.input.dtype, artifact.output.dtype
        grid.add_row(artifact.file, *tensors, oldest_runtime(artifact), kilobytes(artifact.bytes))
    return grid


def oldest_runtime(contents: Contents) -> str:
    """The first of what is required: the runtime."""
    return " ".join(next(iter(contents.requires.items()), ("unknown",)))
