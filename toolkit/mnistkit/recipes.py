"""The table of recipes: named, complete ways to train one network.

A recipe is data. Layers are named as in `keras.layers`, with the arguments that those take; the input
(raw pixels 0 to 255) and the number of classes come from the data set.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import Any

from mnistkit.errors import RecipeError

CLASSES = "classes"  # stands for the data set's number of classes


@dataclass(frozen=True)
class Layer:
    """One layer: its class in `keras.layers`, and the arguments for it."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def layer(kind: str, **options: Any) -> Layer:
    """A layer as one reads it in Keras."""
    return Layer(kind, options)


@dataclass(frozen=True)
class Recipe:
    """How to train one network, where that is published, and the test accuracy it must reproduce."""

    name: str
    summary: str
    source: str
    layers: tuple[Layer, ...]
    optimizer: str
    batch_size: int
    epochs: int
    published_accuracy: float

    def override(self, *, epochs: int | None = None, batch_size: int | None = None) -> Recipe:
        """The recipe with these changes; raises RecipeError where one is out of range."""
        for option, value in (("--epochs", epochs), ("--batch-size", batch_size)):
            if value is not None and value < 1:
                raise RecipeError(f"{option} is {value}", "it must be 1 or more")
        return replace(self, epochs=epochs or self.epochs, batch_size=batch_size or self.batch_size)


CNN = Recipe(
    name="cnn",
    summary="three convolutions and a dense layer, 93,322 parameters",
    source="P. Sikora, MNIST digits recognition using Keras and CNNs, 2019",
    layers=(
        layer("Rescaling", scale=1 / 255),
        layer("Conv2D", filters=32, kernel_size=3, activation="relu"),
        layer("MaxPooling2D", pool_size=2),
        layer("Conv2D", filters=64, kernel_size=3, activation="relu"),
        layer("MaxPooling2D", pool_size=2),
        layer("Conv2D", filters=64, kernel_size=3, activation="relu"),
        layer("Flatten"),
        layer("Dense", units=64, activation="relu"),
        layer("Dense", units=CLASSES, activation="softmax"),
    ),
    optimizer="rmsprop",
    batch_size=64,
    epochs=5,
    published_accuracy=0.9918,
)

RECIPES = {recipe.name: recipe for recipe in (CNN,)}


def find(name: str) -> Recipe:
    """The recipe of that name; raises RecipeError with the nearest name."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
    guess = f"did you mean {near[0]}?" if near else f"there are: {', '.join(RECIPES)}"
    raise RecipeError(f"there is no recipe {name!r}", guess)
