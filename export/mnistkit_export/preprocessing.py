"""The preprocessing that a Keras model was trained with, and how it becomes part of the model.

The kinds are what tutorials write before `model.fit`:

    raw           x, 0 to 255
    unit          x / 255
    symmetric     x / 127.5 - 1
    standardize   (x - mean) / std for each channel, of the training images
    l2-rows       keras.utils.normalize(x, axis=2): each row of an image has the L2 norm 1
    l2-columns    keras.utils.normalize(x, axis=1): each column
    l2-image      keras.utils.normalize of flattened images: each image
    custom        (x - mean) / std as the user passed it

each also with 255 - x before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Preprocessing, PreprocessingKind
from mnistkit.core.errors import DataError, ModelError, OptionError
from mnistkit.core.images import chunks
from mnistkit.data.dataset import Dataset
from mnistkit.training.keras_models import KerasModel, import_keras

MAX_PIXEL = 255.0
RAW = Preprocessing("raw", invert=False, mean=(), std=())
KINDS = tuple(kind for kind in get_args(PreprocessingKind) if kind != "custom")
L2_AXES: dict[str, int | list[int]] = {"l2-rows": 2, "l2-columns": 1, "l2-image": [1, 2, 3]}  # of [N, rows, columns, C]
NO_TRAINING_IMAGES = "the data set has no training images"


@dataclass(frozen=True)
class PreprocessingOptions:
    """The preprocessing as the user requests it."""

    kind: PreprocessingKind | Literal["auto"] = "auto"
    input_range: tuple[float, float] | None = None  # that 0 and 255 become
    mean: tuple[float, ...] = ()  # one, or one for each channel, in raw pixel values
    std: tuple[float, ...] = ()
    invert: bool = False

    def check(self) -> None:
        """Raise OptionError if the options contradict each other."""
        if bool(self.mean) != bool(self.std) or len(self.mean) != len(self.std):
            raise OptionError("--mean and --std have different numbers of values", "pass one of each for each channel")
        if any(std <= 0 for std in self.std) or (self.input_range and self.input_range[0] == self.input_range[1]):
            raise OptionError("the range of the input is empty", "pass a --std above 0 and two different --input-range")
        if self.input_range and (self.mean or self.kind != "auto"):
            raise OptionError("--input-range is a preprocessing of its own", "pass it alone or with --invert")
        if self.mean and self.kind not in ("auto", "standardize"):
            raise OptionError(f"--mean and --std do not apply to {self.kind}", "pass --preprocessing standardize")
        if self.invert and self.kind == "auto" and not (self.mean or self.input_range):
            raise OptionError("--invert needs a preprocessing", "add --preprocessing, such as unit")

    def resolve(self, data: Dataset) -> Preprocessing | None:
        """The preprocessing; None if it is to be found. Raises OptionError and DataError."""
        self.check()
        if self.mean:
            if len(self.mean) not in (1, data.image_shape[2]):
                raise OptionError(
                    f"--mean and --std have {len(self.mean)} values for {data.image_shape[2]} channels",
                    "pass one value, or one for each channel",
                )
            return Preprocessing("custom", self.invert, self.mean, self.std)
        if self.input_range:
            low, high = self.input_range
            scale = (high - low) / MAX_PIXEL
            return Preprocessing("custom", self.invert, (-low / scale,), (1 / scale,))
        if self.kind == "auto":
            return None
        preprocessing = of_kind(self.kind, data)
        return inverted(preprocessing) if self.invert else preprocessing


AUTO = PreprocessingOptions()


def check_input_shape(model: KerasModel, data: Dataset) -> None:
    """Raise ModelError unless the input is an image of the data set, flattened, or without its channel axis."""
    shape, image = tuple(model.inputs[0].shape[1:]), data.image_shape
    height, width, channels = image
    if shape in (image, (math.prod(image),)) or (shape == image[:2] and channels == 1):
        return
    if shape == (channels, height, width):
        raise ModelError(
            f"the model's input {list(shape)} has the channels first",
            "build it again with data_format='channels_last', which TFLite and Keras on a CPU need",
        )
    raise ModelError(
        f"the model is for images of shape {list(shape)}, the data set has {list(image)}",
        "pass a matching data set with --data",
    )


def input_image_shape(model: KerasModel) -> tuple[int, int, int] | None:
    """The height, width and channels of the model's input; None if it is flattened."""
    shape = tuple(model.inputs[0].shape[1:])
    return (*shape, *(1,) * (3 - len(shape))) if len(shape) > 1 else None


def of_kind(kind: PreprocessingKind, data: Dataset) -> Preprocessing:
    """The preprocessing of that kind. Raises DataError if it depends on training images and there are none."""
    match kind:
        case "unit":
            return Preprocessing(kind, invert=False, mean=(0.0,), std=(MAX_PIXEL,))
        case "symmetric":
            return Preprocessing(kind, invert=False, mean=(MAX_PIXEL / 2,), std=(MAX_PIXEL / 2,))
        case "standardize":
            mean, std = _mean_and_std(data)
            return Preprocessing(kind, invert=False, mean=mean, std=std)
    return Preprocessing(kind, invert=False, mean=(), std=())


def inverted(preprocessing: Preprocessing) -> Preprocessing:
    """The same kind for 255 - x, which has another mean."""
    if preprocessing.kind != "standardize":
        return replace(preprocessing, invert=True)
    return replace(preprocessing, invert=True, mean=tuple(MAX_PIXEL - mean for mean in preprocessing.mean))


def _mean_and_std(data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation of each channel of the training images, in raw pixel values."""
    if len(data.x_train) == 0:
        raise DataError(f"can't standardize: {NO_TRAINING_IMAGES}", "pass --mean and --std")
    channels = data.image_shape[2]
    counts = np.zeros((channels, 256))
    for images in chunks(data.x_train):
        for channel in range(channels):
            counts[channel] += np.bincount(images[..., channel].ravel(), minlength=256)
    shares, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
    mean = shares @ values
    std = np.sqrt(np.maximum(shares @ values**2 - mean**2, 1e-12))
    return tuple(mean.tolist()), tuple(std.tolist())


def apply(preprocessing: Preprocessing, images: NDArray[np.uint8], input_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Preprocess images, uint8 [N, height, width, channels], to float32 [N, *input_shape]."""
    layers = _layers(preprocessing, images.shape[1:], input_shape)
    values: Any = images.astype(np.float32)
    for layer in layers:
        values = layer(values)
    return np.asarray(values)


def wrap(model: KerasModel, preprocessing: Preprocessing, image_shape: tuple[int, ...]) -> KerasModel:
    """The model with the preprocessing before it: raw pixel values, [N, height, width, channels], go in."""
    layers = _layers(preprocessing, image_shape, tuple(model.inputs[0].shape[1:]))
    if not layers:
        return model
    keras = import_keras()
    return keras.Sequential([keras.Input(image_shape, name="image"), *layers, model], name=model.name)


def _layers(preprocessing: Preprocessing, image_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> list[Any]:
    """The Keras layers that do the preprocessing and then give the image the shape of the model's input."""
    keras_layers = import_keras().layers
    layers = []
    if scaling := _scale_and_offset(preprocessing):
        layers.append(keras_layers.Rescaling(*scaling, name="preprocessing"))
    if preprocessing.kind in L2_AXES:
        layers.append(keras_layers.UnitNormalization(L2_AXES[preprocessing.kind], name="l2_normalization"))
    if input_shape != image_shape:
        layers.append(keras_layers.Reshape(input_shape, name="reshape_image"))
    return layers


def _scale_and_offset(preprocessing: Preprocessing) -> tuple[float | list[float], float | list[float]] | None:
    """The scale and offset of all channels, or of each; None if they change nothing."""
    mean, std = np.array(preprocessing.mean or [0.0]), np.array(preprocessing.std or [1.0])
    scale, offset = 1 / std, -mean / std
    if preprocessing.invert:
        scale, offset = -scale, offset + MAX_PIXEL * scale
    if (scale == 1).all() and (offset == 0).all():
        return None
    return (scale[0].item(), offset[0].item()) if scale.size == 1 else (scale.tolist(), offset.tolist())
