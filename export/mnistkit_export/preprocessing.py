"""Finds the preprocessing that a Keras model was trained with, and makes it part of the model.

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Preprocessing, PreprocessingKind
from mnistkit.core.errors import DataError, ModelError, OptionError
from mnistkit.core.images import chunk_length, chunks
from mnistkit.data.dataset import Dataset
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit_export.probability_model import ProbabilityModel

MAX_PIXEL = 255.0
RAW = Preprocessing("raw", invert=False, mean=(), std=())
KINDS = tuple(kind for kind in get_args(PreprocessingKind) if kind != "custom")
L2_AXES: dict[str, int | list[int]] = {"l2-rows": 2, "l2-columns": 1, "l2-image": [1, 2, 3]}  # of [N, rows, columns, C]
NO_TRAINING_IMAGES = "the data set has no training images"

SAMPLE_SIZES = (250, 1000, 4000, 16_000, 64_000)  # training images, tried in this order until one candidate is left
SHIFTED_ONE_IN = 5
SHIFTS = ((1, 0), (-1, 0), (1, 1), (-1, 1))  # pixels and axis
Z = 3.29  # two-sided test at the 0.1% level
EQUIVALENT_LOSS = 0.02  # a difference in cross-entropy that does not matter
SAME_LOSS = 1e-3  # the largest difference of a model to which the scale of its inputs does not matter
KERAS_EPSILON = 1e-7  # smallest probability in Keras's cross-entropy


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
        preprocessing = _of_kind(self.kind, data)
        return _inverted(preprocessing) if self.invert else preprocessing


AUTO = PreprocessingOptions()


@dataclass(frozen=True)
class Score:
    """How well the model does on a sample of training images with a candidate."""

    preprocessing: Preprocessing
    loss: float  # mean cross-entropy, in nats
    accuracy: float  # on the images that are not shifted
    spread: float  # standard deviation of the inputs

    def __str__(self) -> str:
        """As messages have it."""
        return f"{self.preprocessing} (loss {self.loss:.4g}, accuracy {self.accuracy:.2%})"


@dataclass(frozen=True)
class Search:
    """The result of evaluating the candidates, the chosen one first."""

    scores: tuple[Score, ...]
    undecided: int  # number of candidates that can't be told from the first, with it; 1 if it was chosen
    labels: NDArray[np.int64]  # of the training images that they were evaluated on

    @property
    def best(self) -> Score:
        """The candidate to use."""
        return self.scores[0]

    def check_decided(self) -> None:
        """Raise ModelError if the best candidate can't be told from another."""
        if self.undecided > 1:
            rivals = " and ".join(map(str, self.scores[: self.undecided]))
            raise ModelError(
                f"the model's preprocessing can't be told from {len(self.labels):,} training images: {rivals}",
                "pass it with --preprocessing",
            )

    def __str__(self) -> str:
        """The line that is shown."""
        (raw,) = (score for score in self.scores if score.preprocessing == RAW)
        others = "" if self.best is raw else f"; {raw}"
        return f"preprocessing: {self.best} on {len(self.labels):,} training images{others}"


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


def find(probability_model: ProbabilityModel, data: Dataset, seed: int) -> Search:
    """Find the candidate with which the model has the lowest cross-entropy on labeled training images, some shifted.

    Candidates are compared image by image: one is dropped if its loss is higher than the best one's, by a paired test
    at the 0.1% level, and by a difference that matters. The sample grows until all that are left are equivalent. Of
    these, the one with the smallest inputs is chosen: a model that knows its training images is only more certain of
    them if its inputs are too large. Raises DataError if there are no training images.
    """
    if len(data.x_train) == 0:
        raise DataError(f"can't find the model's preprocessing: {NO_TRAINING_IMAGES}", "pass it with --preprocessing")
    order = np.random.default_rng(seed).permutation(len(data.x_train))
    candidates, dropped = list(_candidates(data)), list[Score]()
    for size in SAMPLE_SIZES:
        sample = np.sort(order[:size])
        losses, scores = _evaluate(probability_model, candidates, data, sample)
        differences = losses - losses[losses.mean(axis=1).argmin()]
        limits = [_confidence_limits(row) for row in differences]
        equivalent = [high < EQUIVALENT_LOSS for _, high in limits]
        kept = [i for i, (low, _) in enumerate(limits) if low <= 0 or equivalent[i]]
        dropped += [score for i, score in enumerate(scores) if i not in kept]
        candidates = [candidates[i] for i in kept]
        decided = all(equivalent[i] for i in kept)
        if decided or size >= len(order):
            break
    remaining = [scores[i] for i in kept]
    same = bool(abs(differences[kept]).max() < SAME_LOSS)
    remaining.sort(key=lambda score: _preference(score, same=same) if decided else (score.loss,))
    ordered = (*remaining, *sorted(dropped, key=lambda score: score.loss))
    return Search(ordered, 1 if decided else len(remaining), data.y_train[sample])


def _preference(score: Score, *, same: bool) -> tuple[float, ...]:
    """The sort key of equivalent candidates; raw pixels first if the model does the same with all of them."""
    return (float(same and score.preprocessing != RAW), score.spread)


def _candidates(data: Dataset) -> Iterator[Preprocessing]:
    for kind in KINDS:
        preprocessing = _of_kind(kind, data)
        yield from (preprocessing, _inverted(preprocessing))


def _of_kind(kind: PreprocessingKind, data: Dataset) -> Preprocessing:
    match kind:
        case "unit":
            return Preprocessing(kind, invert=False, mean=(0.0,), std=(MAX_PIXEL,))
        case "symmetric":
            return Preprocessing(kind, invert=False, mean=(MAX_PIXEL / 2,), std=(MAX_PIXEL / 2,))
        case "standardize":
            mean, std = _mean_and_std(data)
            return Preprocessing(kind, invert=False, mean=mean, std=std)
    return Preprocessing(kind, invert=False, mean=(), std=())


def _inverted(preprocessing: Preprocessing) -> Preprocessing:
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


def _evaluate(
    probability_model: ProbabilityModel, candidates: list[Preprocessing], data: Dataset, sample: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[Score]]:
    """The cross-entropy of each training image in the sample, float64 [candidates, N], and the scores.

    One image in five is shifted by a pixel, for a model that has learned its training images by heart: on those alone,
    inputs that are too large only make it more certain.
    """
    input_shape, length = tuple(probability_model.model.inputs[0].shape[1:]), chunk_length(data.image_shape)
    shifted = np.arange(len(sample)) % SHIFTED_ONE_IN == 0
    losses, correct = np.empty((2, len(candidates), len(sample)))
    spreads = np.zeros(len(candidates))
    for start in range(0, len(sample), length):
        part = slice(start, start + length)
        images, labels = data.x_train[sample[part]].copy(), data.y_train[sample[part]]
        for number, position in enumerate(np.nonzero(shifted[part])[0]):
            images[position] = np.roll(images[position], *SHIFTS[number % len(SHIFTS)])
        for i, candidate in enumerate(candidates):
            inputs = apply(candidate, images, input_shape)
            spreads[i] = spreads[i] or inputs.std()  # of the first chunk
            probabilities, _ = probability_model.predict(inputs)
            of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
            losses[i, part] = -np.log(np.maximum(of_label, KERAS_EPSILON))
            correct[i, part] = probabilities.argmax(axis=1) == labels
    accuracies = correct[:, ~shifted].mean(axis=1)
    return losses, [
        Score(candidate, float(losses[i].mean()), float(accuracies[i]), float(spreads[i]))
        for i, candidate in enumerate(candidates)
    ]


def _confidence_limits(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The limits of the mean of paired differences at the 0.1% level."""
    mean, margin = float(differences.mean()), Z * float(differences.std()) / math.sqrt(len(differences))
    return mean - margin, mean + margin


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
