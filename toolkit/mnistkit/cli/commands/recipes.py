"""`mnistkit recipes`."""

import click

from mnistkit.training import recipes


@click.command(short_help="List the recipes, or show one.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes, or show one recipe: its source, training settings and layers."""
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import training as tables

    if name is None:
        terminal.show(tables.recipes_table(recipes.RECIPES.values()))
        return
    from mnistkit.training import keras_models
    from mnistkit.training.model import build_model

    recipe = recipes.find(name)
    model = build_model(recipe, recipes.MNIST_SHAPE, recipes.MNIST_CLASSES)
    terminal.show(tables.recipe_text(recipe), tables.network_table(keras_models.summarize(model)))
