"""Builds the Keras model of a recipe."""

from mnistkit.core.errors import RecipeError
from mnistkit.training import keras_models
from mnistkit.training.recipes import CLASSES, Recipe


def build_model(recipe: Recipe, image_shape: tuple[int, int, int], classes: int) -> keras_models.KerasModel:
    """The untrained model of a recipe for raw images [height, width, channels].

    Raises RecipeError if the images are too small.
    """
    keras = keras_models.import_keras()
    model = keras.Sequential([keras.Input(image_shape, name="image")], name=recipe.name.replace("-", "_"))
    for layer in recipe.layers:
        options = {name: classes if value == CLASSES else value for name, value in layer.options.items()}
        try:
            model.add(getattr(keras.layers, layer.kind)(**options))
        except ValueError as error:  # the kernel or pooling window is larger than the feature map
            shape = "×".join(map(str, image_shape))
            raise RecipeError(
                f"images of shape {shape} are too small for recipe {recipe.name} (layer {layer.kind})",
                "choose another recipe or use larger images",
            ) from error
    return model
