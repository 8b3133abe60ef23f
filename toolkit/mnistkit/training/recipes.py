"""The table of recipes: named, complete ways to train one network.

A recipe is data. Layers are named as in `keras.layers`, with the arguments that those take; the input
(raw pixels 0 to 255) and the number of classes come from the data set.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mnistkit.core.errors import RecipeError

OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "nadam", "rmsprop", "sgd")
MAX_COUNT = 1_000_000  # of epochs, or of images a batch
MNIST_SHAPE, MNIST_CLASSES = (28, 28, 1), 10
CLASSES = "classes"  # stands for the data set's number of classes

Validation = Literal["none", "first", "last"]
Measure = Literal["test accuracy", "training accuracy"]


@dataclass(frozen=True)
class Layer:
    """One layer: its class in `keras.layers`, and the arguments for it."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def layer(kind: str, **options: Any) -> Layer:
    """A layer as one reads it in Keras."""
    return Layer(kind, options)


@dataclass(frozen=True)
class Optimizer:
    """An optimiser by Keras's name, and its learning rate: Keras's default, or a cosine from a peak to nothing."""

    name: str
    peak: float | None = None

    def __str__(self) -> str:
        return self.name if self.peak is None else f"{self.name}, cosine from {self.peak:g}"


@dataclass(frozen=True)
class Augmentation:
    """How far each training image is moved at random, anew in every epoch: uniformly between minus and plus."""

    rotation: float  # degrees
    shift: float  # pixels, along each axis
    zoom: float  # natural logarithm of the factor, along each axis
    shear: float  # pixels a pixel


@dataclass(frozen=True)
class Published:
    """The figure that a recipe's author printed, and must be reproduced."""

    measure: Measure
    value: float


@dataclass(frozen=True)
class Recipe:
    """How to train one network, and where that comes from."""

    name: str
    summary: str
    source: str
    layers: tuple[Layer, ...]
    optimizer: Optimizer
    batch_size: int
    epochs: int
    validation: Validation = "none"  # which sixth of the training images is held out: 10,000 of MNIST's
    augmentation: Augmentation | None = None
    threads: int | None = None  # that share one operation; None: one a core
    published: Published | None = None

    def override(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        validation: Validation | None = None,
    ) -> Recipe:
        """The recipe with these changes; raises RecipeError where one is out of range."""
        for option, value in (("--epochs", epochs), ("--batch-size", batch_size)):
            if value is not None and not 1 <= value <= MAX_COUNT:
                raise RecipeError(f"{option} is {value}", f"it must be from 1 to {MAX_COUNT:,}")
        return replace(
            self,
            epochs=epochs or self.epochs,
            batch_size=batch_size or self.batch_size,
            optimizer=Optimizer(optimizer) if optimizer else self.optimizer,
            validation=validation or self.validation,
        )


def mlp(*hidden: Layer) -> tuple[Layer, ...]:
    """A multilayer perceptron on scaled pixels."""
    return (layer("Rescaling", scale=1 / 255), layer("Flatten"), *hidden, softmax())


def softmax() -> Layer:
    """The last layer of every network."""
    return layer("Dense", units=CLASSES, activation="softmax")


def dense(units: int) -> Layer:
    """A hidden layer."""
    return layer("Dense", units=units, activation="relu")


def conv(filters: int, kernel_size: int = 3, strides: int = 1) -> Layer:
    """A convolution without padding."""
    return layer("Conv2D", filters=filters, kernel_size=kernel_size, strides=strides, activation="relu")


def conv_bn(filters: int, kernel_size: int = 3, strides: int = 1) -> tuple[Layer, ...]:
    """The same with batch normalisation, which the converters fold into the convolution."""
    return (
        layer("Conv2D", filters=filters, kernel_size=kernel_size, strides=strides, use_bias=False),
        layer("BatchNormalization", momentum=0.9),
        layer("ReLU"),
    )


CNN_LAYERS = (
    layer("Rescaling", scale=1 / 255),
    conv(32),
    layer("MaxPooling2D", pool_size=2),
    conv(64),
    layer("MaxPooling2D", pool_size=2),
    conv(64),
    layer("Flatten"),
    dense(64),
    softmax(),
)

AUGMENTATION = Augmentation(rotation=10, shift=2, zoom=0.1, shear=0.1)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="cnn",
            summary="three convolutions",
            source="P. Sikora, MNIST digits recognition using Keras and CNNs, 2019",
            layers=CNN_LAYERS,
            optimizer=Optimizer("rmsprop"),
            batch_size=64,
            epochs=5,
            published=Published("test accuracy", 0.9918),
        ),
        Recipe(
            name="cnn-holdout",
            summary="cnn, 10,000 held out",
            source="W. Fleming, MNIST Image Classification using Deep Learning and Keras, 2019",
            layers=CNN_LAYERS,
            optimizer=Optimizer("rmsprop"),
            batch_size=64,
            epochs=5,
            validation="last",
            published=Published("test accuracy", 0.992),
        ),
        Recipe(
            name="mlp-512",
            summary="one hidden layer",
            source="Classifying handwritten digits with Keras (after F. Chollet, Deep Learning with Python)",
            layers=mlp(dense(512)),
            optimizer=Optimizer("rmsprop"),
            batch_size=128,
            epochs=5,
            published=Published("test accuracy", 0.9799),
        ),
        Recipe(
            name="mlp-dropout",
            summary="one hidden layer, dropout",
            source="Classifying grayscale images of handwritten digits (MNIST) using Keras, 2018",
            layers=mlp(dense(512), layer("Dropout", rate=0.5)),
            optimizer=Optimizer("adam"),
            batch_size=128,
            epochs=20,
            validation="first",
            published=Published("test accuracy", 0.983),
        ),
        Recipe(
            name="mlp-128x2",
            summary="two hidden layers",
            source="MNIST Classification With Keras, parts one and two",
            # keras.utils.normalize(axis=1) as a layer: L2 along the image's first axis. That is made the last
            # beforehand, where TFLite has an operator for it; as a sum of squares it does not survive int8.
            layers=(
                layer("Permute", dims=(3, 2, 1)),
                layer("UnitNormalization", axis=-1),
                layer("Flatten"),
                dense(128),
                dense(128),
                softmax(),
            ),
            optimizer=Optimizer("adam"),
            batch_size=32,
            epochs=3,
            published=Published("training accuracy", 0.977),
        ),
        Recipe(
            name="cnn-tuned",
            summary="cnn, longer, augmented",
            source="mnistkit",
            # Not after the first convolution, whose outputs are the most: there it would cost half the time again.
            layers=(*CNN_LAYERS[:3], *conv_bn(64), CNN_LAYERS[4], *conv_bn(64), *CNN_LAYERS[6:]),
            optimizer=Optimizer("adam", peak=0.002),
            batch_size=128,
            epochs=20,
            augmentation=AUGMENTATION,
        ),
        Recipe(
            name="edge",
            summary="small, for the edge",
            source="mnistkit",
            # Filters in sixteens, the tiles in which XNNPACK computes; strides, which cost nothing, instead of pooling.
            # A batch normalisation after the first convolution too would leave time for fewer epochs.
            layers=(
                layer("Rescaling", scale=1 / 255),
                conv(16, strides=2),
                *conv_bn(32, strides=2),
                *conv_bn(32),
                layer("Dropout", rate=0.4),
                layer("Flatten"),
                softmax(),
            ),
            optimizer=Optimizer("adam", peak=0.003),
            batch_size=128,
            epochs=56,
            augmentation=AUGMENTATION,
            threads=1,  # its operations are small: waiting for a second thread takes longer, often twice, than it helps
        ),
    )
}
DEFAULT = "cnn"


def find(name: str) -> Recipe:
    """The recipe of that name; raises RecipeError with the nearest name."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
    guess = f"did you mean {near[0]}?" if near else f"there are: {', '.join(RECIPES)}"
    raise RecipeError(f"there is no recipe {name!r}", guess)
