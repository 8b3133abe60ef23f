"""A recipe's layers, as a Keras model."""

from __future__ import annotations

from mnistkit.core.errors import RecipeError
from mnistkit.training import keras_models
from mnistkit.training.recipes import CLASSES, Recipe


def build_model(recipe: Recipe, image_shape: tuple[int, int, int], classes: int) -> keras_models.KerasModel:
    """The recipe's network, untrained, for raw images of this shape; raises RecipeError where it doesn't fit them."""
    keras = keras_models.import_keras()
    model = keras.Sequential([keras.Input(image_shape, name="image")], name=recipe.name.replace("-", "_"))
    for layer in recipe.layers:
        options = {name: classes if value == CLASSES else value for name, value in layer.options.items()}
        try:
            model.add(getattr(keras.layers, layer.kind)(**options))
        except ValueError as error:  # a window larger than what is left of the image
            shape = "×".join(map(str, image_shape))
            raise RecipeError(
                f"{recipe.name} doesn't fit images of {shape} ({layer.kind})", "choose another recipe or larger images"
            ) from error
    return model
