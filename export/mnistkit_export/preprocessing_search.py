"""Finds the preprocessing that a Keras model was trained with, by its loss on labeled training images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Preprocessing
from mnistkit.core.errors import DataError, ModelError
from mnistkit.core.images import chunk_length
from mnistkit.data.dataset import Dataset
from mnistkit_export.preprocessing import KINDS, NO_TRAINING_IMAGES, RAW, apply, inverted, of_kind
from mnistkit_export.probability_model import ProbabilityModel, cross_entropy

SAMPLE_SIZES = (250, 1000, 4000, 16_000, 64_000)  # training images, tried in this order until one candidate is left
SHIFTED_ONE_IN = 5
SHIFTS = ((1, 0), (-1, 0), (1, 1), (-1, 1))  # pixels and axis
Z = 3.29  # two-sided test at the 0.1% level
EQUIVALENT_LOSS = 0.02  # a difference in cross-entropy that does not matter
SAME_LOSS = 1e-3  # the largest difference of a model to which the scale of its inputs does not matter


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
        preprocessing = of_kind(kind, data)
        yield from (preprocessing, inverted(preprocessing))


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
            losses[i, part] = cross_entropy(probabilities, labels)
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
