"""`mnistkit train`."""

from pathlib import Path

import click

from mnistkit.cli import options
from mnistkit.training import recipes


@click.command(short_help="Train a recipe on MNIST or your own images.")
@click.option("--recipe", default=recipes.DEFAULT, help="Recipe to train.")
@click.option("--epochs", type=int, help="Number of epochs. Default: the recipe's.")
@click.option("--batch-size", type=int, help="Number of images per training step. Default: the recipe's.")
@click.option(
    "--optimizer",
    type=click.Choice(recipes.OPTIMIZERS),
    help="Optimizer, with Keras's default settings. Default: the recipe's.",
)
@click.option(
    "--validation",
    type=click.Choice(["none", "first", "last"]),
    help="Sixth of the training images to hold out for validation. Default: the recipe's.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=1,
    help="Seed of initial weights, shuffling, dropout and augmentation.",
)
@click.option("--init-from", type=options.PATH, metavar="MODEL", help="Continue training from MODEL (.keras or .h5).")
@click.option(
    "--out",
    type=options.PATH,
    metavar="FOLDER",
    help="Output folder. Default: build/RECIPE, or build/RECIPE-continued with --init-from.",
)
@options.data
def command(
    recipe: str,
    epochs: int | None,
    batch_size: int | None,
    optimizer: str | None,
    validation: recipes.Validation | None,
    seed: int,
    init_from: Path | None,
    out: Path | None,
    data: options.DataOptions,
) -> None:
    """Train the network of a recipe. Writes model.keras, history.json, curves.png and run.json."""
    from mnistkit.cli import terminal
    from mnistkit.cli.tables.training import run_line
    from mnistkit.training.train import train

    overridden = recipes.find(recipe).override(
        epochs=epochs, batch_size=batch_size, optimizer=optimizer, validation=validation
    )
    progress = terminal.Terminal()
    folder = out or Path("build") / (f"{recipe}-continued" if init_from else recipe)
    run = train(overridden, data.load(progress), seed, folder, init_from, progress)
    terminal.show(run_line(run))
