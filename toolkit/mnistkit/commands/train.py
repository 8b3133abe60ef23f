"""`mnistkit train`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Train a recipe on MNIST or your own images.")
@click.option("--recipe", default="cnn", show_default=True, help="What to train, and how.")
@click.option("--epochs", type=int, help="Passes over the training images; the recipe's by default.")
@click.option("--batch-size", type=int, help="Images a step; the recipe's by default.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, help="Same seed, same weights."
)
@click.option("--out", type=options.PATH, metavar="FOLDER", help="Where to write; build/RECIPE by default.")
@options.data
def command(
    recipe: str, epochs: int | None, batch_size: int | None, seed: int, out: Path | None, data: Path | None
) -> None:
    """Train a network: writes model.keras, history.json and run.json."""
    from mnistkit import console, recipes, render, training

    chosen = recipes.find(recipe).override(epochs=epochs, batch_size=batch_size)
    progress = console.Terminal()
    folder = out or Path("build") / recipe
    run = training.train(chosen, options.load_data(data, progress), seed, folder, progress)
    console.show(render.run_line(run))
