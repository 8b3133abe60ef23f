"""`mnistkit export`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from mnistkit.bundle import CalibrationMethod, Format, PreprocessingKind, Quantization, Target

# The names are repeated here so that --help does not import numpy.
FORMATS = ("tflite", "onnx", "c")
TARGETS = ("pi3", "pi4", "pi5", "x86-64-v3", "x86-64-vnni")
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
CALIBRATION_METHODS = ("minmax", "percentile", "entropy")
PREPROCESSINGS = ("auto", "raw", "unit", "symmetric", "standardize", "l2-rows", "l2-columns", "l2-image")


def _parse_labels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    try:
        # Not Path.is_file, which fails on names that are too long for a path.
        names = Path(value).read_text("utf-8").splitlines() if os.path.isfile(value) else value.split(",")  # noqa: PTH113
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"cannot read {value}: {error}") from error
    return tuple(name.strip() for name in names) if value else ()


def _parse_numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, value.split(","))) if value else ()
    except ValueError as error:
        raise click.BadParameter(f"{value} is not a list of numbers") from error
    if not all(map(math.isfinite, numbers)):
        raise click.BadParameter(f"{value} is not a list of finite numbers")
    return numbers


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
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(TARGETS),
    help="Processor to compile the C code for (repeatable), so that it runs without a compiler. Needs a C compiler for "
    "it: gcc, aarch64-linux-gnu-gcc or zig.",
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
@click.option(
    "--preprocessing",
    type=click.Choice(PREPROCESSINGS),
    default="auto",
    help="Preprocessing that the model was trained with; it becomes part of the artifacts. auto: the one with the "
    "lowest loss on training images.",
)
@click.option(
    "--input-range",
    type=(float, float),
    metavar="LOW HIGH",
    help="Preprocessing: the values that the pixels 0 and 255 become.",
)
@click.option(
    "--mean", callback=_parse_numbers, metavar="M,M…", help="Preprocessing: mean to subtract, in raw pixel values."
)
@click.option(
    "--std", callback=_parse_numbers, metavar="S,S…", help="Preprocessing: deviation to divide by, in raw pixel values."
)
@click.option("--invert", is_flag=True, help="Preprocessing: replace x by 255 - x first.")
@click.option(
    "--accept-accuracy",
    is_flag=True,
    help="Export even if the model is hardly better than chance, or run.json beside it names another data set or "
    "accuracy.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the calibration images.")
@click.option("--optimize/--no-optimize", default=True, help="Optimize the graph before conversion.")
@click.option(
    "--skip-blank/--no-skip-blank",
    default=True,
    help="Let the C skip blank parts of images where that is faster; its latency then depends on the image.",
)
@click.option("--profile", is_flag=True, help="Add what 'mnistkit profile' needs: the artifacts cut after each layer.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@options.data
@click.pass_context
def command(
    ctx: click.Context,
    model: Path,
    out: Path | None,
    formats: tuple[Format, ...],
    quantizations: tuple[Quantization, ...],
    targets: tuple[Target, ...],
    labels: tuple[str, ...],
    max_drop: float | None,
    calibration_samples: int,
    calibration_method: CalibrationMethod,
    preprocessing: PreprocessingKind | Literal["auto"],
    input_range: tuple[float, float] | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    invert: bool,
    accept_accuracy: bool,
    seed: int,
    optimize: bool,
    skip_blank: bool,
    profile: bool,
    force: bool,
    data: options.DataOptions,
) -> None:
    """Export a Keras model (build/cnn/model.keras by default) as a bundle.

    A bundle contains the model as TFLite in float32, float16, dynamic and int8, as ONNX in float32, dynamic and int8,
    and as C in int8 (left out if the network has operators that can't be generated), the test set, and the original
    model's predictions on it: everything that `verify` and `bench` need. Exit code 1 if an artifact could not be
    exported.
    """
    from mnistkit.cli import terminal
    from mnistkit.core import files
    from mnistkit.training import loading
    from mnistkit_export import cross_compilation, exporter, tables
    from mnistkit_export.plan import ExportOptions
    from mnistkit_export.preprocessing import PreprocessingOptions, input_image_shape

    export_options = ExportOptions(
        formats=formats,
        quantizations=quantizations,
        targets=tuple(dict.fromkeys(targets)),
        labels=labels,
        seed=seed,
        calibration_samples=calibration_samples,
        calibration_method=calibration_method,
        max_drop=max_drop,
        preprocessing=PreprocessingOptions(preprocessing, input_range, mean, std, invert),
        accept_accuracy=accept_accuracy,
        optimize=optimize,
        skip_blank=skip_blank,
        profile=profile,
        force=force,
    )
    progress = terminal.Terminal()
    folder = out or model.parent / "bundle"
    export_options.artifact_kinds()  # fails on contradictory options before the data set is loaded
    cross_compilation.check_compilers(export_options.targets)
    files.check_readable(model)
    exporter.check_not_exists(folder, force=force)
    image_shape = None
    if data.path and data.path.is_dir():  # pictures become what the model takes
        with progress.task(f"loading {model.name}"):
            image_shape = input_image_shape(loading.load(model))
    images = data.load(progress, image_shape, labels)
    bundle = exporter.export(model, images, folder, export_options, progress)
    terminal.show(tables.bundle_table(bundle), *tables.not_exported_lines(bundle.manifest))
    incomplete = any(missing.requested for missing in bundle.manifest.not_exported)
    ctx.exit(ExitCode.CHECK_FAILED if incomplete else ExitCode.OK)
