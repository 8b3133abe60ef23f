"""`mnistkit export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options

if TYPE_CHECKING:
    from mnistkit.bundle import CalibrationMethod, Format, Quantization

# The names are repeated here so that --help does not import numpy.
FORMATS = ("tflite", "onnx")
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
CALIBRATION_METHODS = ("minmax", "percentile", "entropy")


def _parse_labels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    try:
        # Not Path.is_file, which fails on names that are too long for a path.
        names = Path(value).read_text("utf-8").splitlines() if os.path.isfile(value) else value.split(",")  # noqa: PTH113
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"cannot read {value}: {error}") from error
    return tuple(name.strip() for name in names) if value else ()


@click.command(short_help="Export a trained model as a bundle.")
@click.argument("model", type=options.PATH, default=options.WORKSPACE / "model.keras")
@click.option("--out", type=options.PATH, metavar="FOLDER", help="Output folder. Default: 'bundle' next to the model.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="Format to export (repeatable). Default: all.",
)
@click.option(
    "--quantize",
    "quantizations",
    multiple=True,
    type=click.Choice(QUANTIZATIONS),
    help="Quantization to export (repeatable). Default: all except int16x8 (TFLite only, 70 times as slow as int8).",
)
@click.option(
    "--labels",
    callback=_parse_labels,
    default="",
    show_default=False,
    metavar="NAMES",
    help="Class names, separated by commas, or a file with one name per line. Default: the class numbers.",
)
@click.option(
    "--max-drop",
    type=options.FiniteRange(min=0, max=100),
    metavar="POINTS",
    help="Maximum accuracy drop of int8 on held-out training images, in percentage points; layers are kept in float "
    "until it holds.",
)
@click.option("--calibration-samples", type=click.IntRange(min=1), default=500, help="Training images to calibrate on.")
@click.option(
    "--calibration-method",
    type=click.Choice(CALIBRATION_METHODS),
    default="minmax",
    help="Calibration method for int8 ONNX (TFLite always uses minmax).",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the calibration images.")
@click.option("--optimize/--no-optimize", default=True, help="Optimize the graph before conversion.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@options.data
def command(
    model: Path,
    out: Path | None,
    formats: tuple[Format, ...],
    quantizations: tuple[Quantization, ...],
    labels: tuple[str, ...],
    max_drop: float | None,
    calibration_samples: int,
    calibration_method: CalibrationMethod,
    seed: int,
    optimize: bool,
    force: bool,
    data: Path | None,
) -> None:
    """Export a Keras model (build/cnn/model.keras by default) as a bundle.

    A bundle contains the model as TFLite in float32, float16, dynamic and int8, and as ONNX in float32, dynamic and
    int8, the test set, and the original model's predictions on it: everything that `verify` and `bench` need.
    """
    from mnistkit.cli import terminal
    from mnistkit.core import files
    from mnistkit_export import exporter, tables
    from mnistkit_export.plan import ExportOptions

    export_options = ExportOptions(
        formats=formats,
        quantizations=quantizations,
        labels=labels,
        seed=seed,
        calibration_samples=calibration_samples,
        calibration_method=calibration_method,
        max_drop=max_drop,
        optimize=optimize,
        force=force,
    )
    progress = terminal.Terminal()
    folder = out or model.parent / "bundle"
    export_options.artifact_kinds()  # fails on contradictory options before the data set is loaded
    files.check_readable(model)
    exporter.check_not_exists(folder, force=force)
    images = options.load_data(data, progress)
    bundle = exporter.export(model, images, folder, export_options, progress)
    terminal.show(tables.bundle_table(bundle))
