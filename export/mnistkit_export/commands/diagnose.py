"""`mnistkit diagnose`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Show what quantization did to each layer.")
@options.bundle_argument
@click.option(
    "--images", type=click.IntRange(1, 1000), default=200, show_default=True, help="How many of the test images to run."
)
@options.json_file
def command(bundle: Path, images: int, json_path: Path | None) -> None:
    """Show, layer by layer, what quantization did to a bundle (build/cnn/bundle by default).

    Each quantized artifact is run beside the float32 one of its format; the layer that suffered most comes first.
    SNR is the signal-to-noise ratio: 20 dB are an error of a tenth, 40 dB of a hundredth. Clipped is the share of
    the activations that lie outside what their type can hold.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit_export import tables
    from mnistkit_export.diagnose import diagnose

    diagnosis = diagnose(open_bundle(bundle), images, terminal.Terminal())
    terminal.write_result(diagnosis, json_path, *map(tables.diagnosis_table, diagnosis.artifacts))
