"""`mnistkit export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mnistkit.cli import options

FORMATS = ("tflite", "onnx")
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
METHODS = ("minmax", "percentile", "entropy")


def labels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Names of classes: joined with commas, or a file with one a line."""
    try:
        # Not Path.is_file, which fails on what is too long for a path.
        names = Path(value).read_text("utf-8").splitlines() if os.path.isfile(value) else value.split(",")  # noqa: PTH113
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{value} can't be read: {error}") from error
    return tuple(name.strip() for name in names) if value else ()


@click.command(short_help="Export a trained model as a bundle.")
@click.argument("model", type=options.PATH, default=options.WORKSPACE / "model.keras")
@click.option(
    "--out", type=options.PATH, metavar="FOLDER", help="Where to write; 'bundle' beside the model by default."
)
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="This alone (repeatable).")
@click.option(
    "--quantize",
    "quantizations",
    multiple=True,
    type=click.Choice(QUANTIZATIONS),
    help="This alone (repeatable). int16x8, for TFLite, is made on request only: it takes 70 times as long as int8.",
)
@click.option(
    "--labels",
    callback=labels,
    default="",
    metavar="NAMES",
    help="The classes' names, joined with commas, or a file with one a line.",
)
@click.option(
    "--max-drop",
    type=options.FiniteRange(min=0, max=100),
    metavar="POINTS",
    help="What int8 may lose on held-out training images: layers go back to float until that holds.",
)
@click.option(
    "--calibration-samples",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Training images to take the ranges from.",
)
@click.option(
    "--calibration-method",
    type=click.Choice(METHODS),
    default="minmax",
    show_default=True,
    help="How int8 ONNX takes them; TFLite knows minmax alone.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the calibration images.")
@click.option("--optimise/--no-optimise", default=True, help="Make the network leaner first, or don't, to compare.")
@click.option("--force", is_flag=True, help="Replace the bundle that is there.")
@options.data
def command(model: Path, out: Path | None, data: Path | None, **chosen: Any) -> None:
    """Export a Keras model (build/cnn/model.keras by default) as a bundle.

    A bundle holds the network as TFLite in float32, float16, dynamic and int8 and as ONNX in float32, dynamic and
    int8, with the test set and the original model's answers on it: all that a device needs to verify and bench it.
    """
    from mnistkit.cli import terminal
    from mnistkit.core import files
    from mnistkit_export import exporter, tables
    from mnistkit_export.plan import ExportOptions

    progress = terminal.Terminal()
    folder = out or model.parent / "bundle"
    wanted = ExportOptions(**chosen)
    wanted.artifact_kinds()  # said before anything slow begins
    files.check_readable(model)
    exporter.check_not_exists(folder, wanted.force)
    images = options.load_data(data, progress)
    bundle = exporter.export(model, images, folder, wanted, progress)
    terminal.show(tables.bundle_table(bundle))
