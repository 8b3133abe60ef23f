"""`mnistkit export`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Export a trained model as a bundle.")
@click.argument("model", type=options.PATH, default=options.WORKSPACE / "model.keras")
@click.option(
    "--out", type=options.PATH, metavar="FOLDER", help="Where to write; 'bundle' beside the model by default."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the calibration images.")
@click.option("--force", is_flag=True, help="Replace the bundle that is there.")
@options.data
def command(model: Path, out: Path | None, seed: int, force: bool, data: Path | None) -> None:
    """Export a Keras model (build/cnn/model.keras by default) as a bundle.

    A bundle holds the network as TFLite and ONNX, in float32 and int8, with the test set and the original
    model's answers on it: all that a device needs to verify and bench it.
    """
    from mnistkit import console, files, render
    from mnistkit_export import exporter

    progress = console.Terminal()
    folder = out or model.parent / "bundle"
    files.check_readable(model)
    exporter.check_vacant(folder, force)
    images = options.load_data(data, progress)
    bundle = exporter.export(model, images, folder, seed=seed, force=force, progress=progress)
    console.show(render.bundle_table(bundle))
