"""The recipes: complete, named descriptions of how to train a network.

Layers are named as in `keras.layers` and have the same arguments. The input (raw pixels 0 to 255) and the number of
classes come from the data set.
"""

import difflib
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from mnistkit.core.errors import RecipeError

OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "nadam", "rmsprop", "sgd")
MAX_EPOCHS = MAX_BATCH_SIZE = 1_000_000
MNIST_SHAPE, MNIST_CLASSES = (28, 28, 1), 10
CLASSES = "classes"  # placeholder for the data set's number of classes

Validation = Literal["none", "first", "last"]
Metric = Literal["test accuracy", "training accuracy"]


@dataclass(frozen=True)
class Layer:
    """A layer of a network."""

    kind: str  # class name in keras.layers
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the class


def layer(kind: str, **options: Any) -> Layer:
    """A layer, written as in Keras."""
    return Layer(kind, options)


@dataclass(frozen=True)
class Optimizer:
    """An optimizer and its learning rate schedule."""

    name: str  # as in Keras
    peak: float | None = None  # peak learning rate of a cosine decay with warmup; None for Keras's default rate

    def __str__(self) -> str:
        return self.name if self.peak is None else f"{self.name}, cosine from {self.peak:g}"


@dataclass(frozen=True)
class Augmentation:
    """The limits of the random affine transforms of training images: each amount is uniform in ±limit."""

    rotation: float  # degrees
    shift: float  # pixels, along each axis
    zoom: float  # natural logarithm of the zoom factor, along each axis
    shear: float  # pixels of shift per pixel of height


@dataclass(frozen=True)
class Published:
    """The accuracy that the author of a recipe reports."""

    metric: Metric
    value: float  # 0 to 1


@dataclass(frozen=True)
class Recipe:
    """How to train a network, and the source of the method."""

    name: str
    summary: str
    source: str
    layers: tuple[Layer, ...]
    optimizer: Optimizer
    batch_size: int
    epochs: int
    validation: Validation = "none"  # which sixth of the training images is held out (10,000 images of MNIST)
    augmentation: Augmentation | None = None
    threads: int = 2  # of an operation: the weights depend on it
    published: Published | None = None  # None if mnistkit is the source

    def override(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        validation: Validation | None = None,
    ) -> Self:
        """The recipe with other values; raises RecipeError if a value is out of range."""
        _check_range("--epochs", epochs, MAX_EPOCHS)
        _check_range("--batch-size", batch_size, MAX_BATCH_SIZE)
        return replace(
            self,
            epochs=epochs or self.epochs,
            batch_size=batch_size or self.batch_size,
            optimizer=Optimizer(optimizer) if optimizer else self.optimizer,
            validation=validation or self.validation,
        )


def _check_range(option: str, value: int | None, maximum: int) -> None:
    if value is not None and not 1 <= value <= maximum:
        raise RecipeError(f"{option} is {value}", f"it must be from 1 to {maximum:,}")


def mlp(*hidden: Layer) -> tuple[Layer, ...]:
    """The layers of a multilayer perceptron on scaled pixels."""
    return (layer("Rescaling", scale=1 / 255), layer("Flatten"), *hidden, softmax())


def softmax() -> Layer:
    """The output layer."""
    return layer("Dense", units=CLASSES, activation="softmax")


def dense(units: int) -> Layer:
    """A hidden dense layer with ReLU."""
    return layer("Dense", units=units, activation="relu")


def conv(filters: int, kernel_size: int = 3, strides: int = 1) -> Layer:
    """A convolution without padding, with ReLU."""
    return layer("Conv2D", filters=filters, kernel_size=kernel_size, strides=strides, activation="relu")


def conv_bn(filters: int, kernel_size: int = 3, strides: int = 1) -> tuple[Layer, ...]:
    """A convolution without padding, with batch normalization and ReLU. Export folds the normalization away."""
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
            summary="cnn with 10,000 images held out",
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
            summary="one hidden layer with dropout",
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
            # The source uses keras.utils.normalize(axis=1): L2 normalization along the image's first axis. Permute
            # makes that axis the last, for which TFLite has an L2 operator. A sum of squares would lose accuracy in
            # int8.
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
            summary="cnn with batch normalization and augmentation",
            source="mnistkit",
            # The first convolution has no batch normalization: with its large output, training would take 50% longer.
            layers=(*CNN_LAYERS[:3], *conv_bn(64), CNN_LAYERS[4], *conv_bn(64), *CNN_LAYERS[6:]),
            optimizer=Optimizer("adam", peak=0.002),
            batch_size=128,
            epochs=20,
            augmentation=AUGMENTATION,
        ),
        Recipe(
            name="edge",
            summary="small CNN for edge devices",
            source="mnistkit",
            # Multiples of 16 filters fill XNNPACK's tiles. Strides replace pooling, which would be another operator.
            # Without batch normalization after the first convolution, more epochs fit into the same time.
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
            threads=1,  # the operations are so small that a second thread slows them down, often to half the speed
        ),
    )
}
DEFAULT = "cnn"


def find(name: str) -> Recipe:
    """The recipe of that name; raises RecipeError that suggests a similar name if there is none."""
    if name in RECIPES:
        return RECIPES[name]
    matches = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
    remedy = f"did you mean {matches[0]}?" if matches else f"choose one of {', '.join(RECIPES)}"
    raise RecipeError(f"unknown recipe {name!r}", remedy)
