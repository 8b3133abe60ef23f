"""`mnistkit diagnose`."""

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Show the quantization error of each layer.")
@options.bundle_argument
@click.option("--images", type=click.IntRange(1, 1000), default=200, help="Test images to run each model on.")
@options.json_file
def command(bundle: Path, images: int, json_path: Path | None) -> None:
    """Show the quantization error of each layer of a bundle (build/cnn/bundle by default).

    Compares each quantized artifact with the float32 artifact of its format, and lists the layers with the largest
    error first. SNR is the signal-to-noise ratio in dB: an error of 10% is 20 dB, an error of 1% is 40 dB. Activation
    SNR is the error of quantizing the layer's activations alone, weight SNR that of its weights; cumulative SNR,
    cosine and max error include the errors of all layers before it. Saturated is the share of the activations outside
    the range of their type.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit_export import tables
    from mnistkit_export.diagnose import diagnose

    diagnosis = diagnose(open_bundle(bundle), images, terminal.Terminal())
    terminal.write_result(diagnosis, json_path, *map(tables.diagnosis_table, diagnosis.artifacts))
