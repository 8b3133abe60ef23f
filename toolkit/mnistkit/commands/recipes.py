"""`mnistkit recipes`."""

from __future__ import annotations

import click

from mnistkit import recipes


@click.command(short_help="List the recipes, or show one.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes, or show one: its source, its network layer by layer, how it is trained."""
    from mnistkit import console, render

    if name is None:
        console.show(render.recipes_table(recipes.RECIPES.values()))
        return
    from mnistkit import keras_models, networks

    recipe = recipes.find(name)
    model = networks.build(recipe, recipes.MNIST_SHAPE, recipes.MNIST_CLASSES)
    console.show(render.recipe_text(recipe), render.network_table(keras_models.summarise(model)))
