"""`mnistkit train`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.cli import options
from mnistkit.training import recipes


@click.command(short_help="Train a recipe on MNIST or your own images.")
@click.option("--recipe", default=recipes.DEFAULT, show_default=True, help="What to train, and how.")
@click.option("--epochs", type=int, help="Passes over the training images; the recipe's by default.")
@click.option("--batch-size", type=int, help="Images a step; the recipe's by default.")
@click.option(
    "--optimizer", type=click.Choice(recipes.OPTIMIZERS), help="At Keras's settings; the recipe's by default."
)
@click.option(
    "--validation",
    type=click.Choice(["none", "first", "last"]),
    help="Which sixth of the training images to hold out; the recipe's by default.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Same seed, same weights."
)
@click.option("--from", "start", type=options.PATH, metavar="MODEL", help="Go on with this model (.keras or .h5).")
@click.option("--out", type=options.PATH, metavar="FOLDER", help="Where to write; build/RECIPE by default.")
@options.data
def command(
    recipe: str,
    epochs: int | None,
    batch_size: int | None,
    optimizer: str | None,
    validation: recipes.Validation | None,
    seed: int,
    start: Path | None,
    out: Path | None,
    data: Path | None,
) -> None:
    """Train a network: writes model.keras, history.json, curves.png and run.json.

    With --from, a trained model goes on; --out is build/RECIPE-continued then.
    """
    from mnistkit.cli import terminal
    from mnistkit.cli.tables.training import run_line
    from mnistkit.training.train import train

    chosen = recipes.find(recipe).override(
        epochs=epochs, batch_size=batch_size, optimizer=optimizer, validation=validation
    )
    progress = terminal.Terminal()
    folder = out or Path("build") / (f"{recipe}-continued" if start else recipe)
    run = train(chosen, options.load_data(data, progress), seed, folder, start, progress)
    terminal.show(run_line(run))
