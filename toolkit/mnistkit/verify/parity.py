"""Accuracy parity of an artifact with the original model, computed from the predictions of both. Pure."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import records
from mnistkit.core.interval import Interval
from mnistkit.core.verdict import Verdict
from mnistkit.verify import paired
from mnistkit.verify.calibration import brier_score, expected_calibration_error, kl_divergence

# Float32 sums depend on the order of their terms. On 20 random networks, a logit differs between Keras, LiteRT and ONNX
# Runtime by at most 1.6e-6 of the largest.
LOGIT_TOLERANCE = 1e-5  # relative to the largest logit
SOFTMAX_TOLERANCE = 2e-6  # of a probability: the softmax rounds too
RANGE_TOLERANCE = 0.01  # how far rounding may take a probability below 0 or above 1


@dataclass(frozen=True)
class Parity:
    """Comparison of an artifact with the original model on the same images. Differences are artifact − original."""

    images: records.Count
    accuracy: records.Share
    original_accuracy: records.Share
    difference: records.Points  # of the accuracies, in percentage points
    interval: Interval  # 95% CI of the difference, in percentage points; a confidence sequence if sequential
    smallest_margin: records.NonNegative  # at which it passes, in percentage points
    agreement: records.Share  # share of the images for which both predict the same class
    label_changes: records.Count  # images for which both predict different classes, whether right or wrong
    regressions: records.Count  # images that only the original classifies correctly
    fixes: records.Count  # images that only the artifact classifies correctly
    p_value: records.Share | None  # of McNemar's test that regressions and fixes are equally likely; None if sequential
    non_inferiority_p: records.Share | None  # one-sided, that the drop is the margin or more; None if sequential
    max_difference: records.NonNegative  # of a probability
    mean_difference: records.NonNegative  # of a probability
    kl_divergence: records.NonNegative  # of the probabilities from the original's, mean in nats
    ece: records.Share  # expected calibration error
    ece_difference: Annotated[float, records.Range(-1, 1)]
    brier: Annotated[float, records.Range(0, 2)]  # score
    brier_difference: Annotated[float, records.Range(-2, 2)]
    recall_differences: tuple[records.Points | None, ...]  # by class; None for a class without images
    confusion: tuple[tuple[records.Count, ...], ...]  # images by true class and class predicted by the artifact
    verdict: Verdict
    reason: str  # for the verdict; empty if it is PASS
    required_images: records.Count | None  # sample size that would decide an INCONCLUSIVE; None if no size would


@dataclass(frozen=True)
class Limits:
    """What an artifact must keep to pass; None for no limit."""

    margin: float  # of the accuracy drop, in percentage points
    tolerance: float | None = None  # of a probability
    max_ece: float | None = None  # rise of the expected calibration error, in percentage points

    def exceeded(self, max_difference: float, ece_rise: float) -> str:
        """Which limit besides the margin is exceeded; empty if none is."""
        if self.tolerance is not None and max_difference > self.tolerance:
            rounding = f"the {self.tolerance:.2g} of float32 rounding"
            return f"a probability differs by {max_difference:.2g}, more than {rounding}"
        if self.max_ece is not None and ece_rise > self.max_ece:
            return f"the expected calibration error rises by {ece_rise:.2f} points, more than {self.max_ece:g}"
        return ""


@dataclass(frozen=True)
class Flip:
    """An image that is a regression or a fix."""

    index: records.Count  # in the test set
    label: records.Count  # true class
    original_label: records.Count  # class predicted by the original
    original_confidence: float
    artifact_label: records.Count  # class predicted by the artifact
    artifact_confidence: float

    @property
    def is_regression(self) -> bool:
        """Whether the original classifies the image correctly."""
        return self.original_label == self.label


def float32_tolerance(max_logit: float) -> float:
    """The largest difference of a probability that float32 rounding explains if logits are as large as `max_logit`.

    If each logit changes by at most d, the log-odds of a class change by at most 2d, and its probability by at most
    tanh(d / 2).
    """
    return math.tanh(LOGIT_TOLERANCE * max_logit / 2) + SOFTMAX_TOLERANCE


def compute_parity(
    reference: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    limits: Limits,
    sequence: Interval | None = None,
) -> Parity:
    """Compare an artifact's `probabilities` with the original's, `reference`, both [N, classes], on `labels` [N].

    The verdict is that of a non-inferiority test: PASS if the whole 95% CI of the difference lies above −margin, FAIL
    if it lies below, INCONCLUSIVE otherwise. It is also FAIL if a value is not a probability, or beyond another limit.
    Values that are not finite count as 0. `sequence`, in percentage points, is the confidence sequence to use instead
    of the CI if the images are those seen until a sequential test stopped.

    Raises ValueError if the shapes do not match.
    """
    _check_shapes(reference, probabilities, labels)
    invalid = _invalid_reason("artifact", probabilities) or _invalid_reason("reference", reference)
    reference, probabilities = _replace_non_finite(reference), _replace_non_finite(probabilities)
    expected, predicted = reference.argmax(axis=1), probabilities.argmax(axis=1)
    original_correct, correct = expected == labels, predicted == labels
    regressions, fixes = int((original_correct & ~correct).sum()), int((correct & ~original_correct).sum())
    differences = np.abs(np.subtract(probabilities, reference, dtype=np.float64))
    max_difference = float(differences.max())
    ece, original_ece = (expected_calibration_error(values, labels) for values in (probabilities, reference))
    invalid = invalid or limits.exceeded(max_difference, 100 * (ece - original_ece))
    brier = brier_score(probabilities, labels)
    images, share = len(labels), limits.margin / 100
    interval = sequence or in_points(paired.tango_interval(regressions, fixes, images))
    p_value = None if sequence else paired.mcnemar(regressions, fixes)
    verdict, reason = _judge(interval, limits.margin, p_value, invalid)
    required_images = None
    if verdict == "INCONCLUSIVE" and not sequence:
        required_images = paired.required_images(regressions, fixes, images, share)
    classes = reference.shape[1]
    return Parity(
        images=images,
        accuracy=float(correct.mean()),
        original_accuracy=float(original_correct.mean()),
        difference=100 * (fixes - regressions) / images,
        interval=interval,
        smallest_margin=max(0.0, -interval.low),
        agreement=float((predicted == expected).mean()),
        label_changes=int((predicted != expected).sum()),
        regressions=regressions,
        fixes=fixes,
        p_value=p_value,
        non_inferiority_p=None if sequence else paired.non_inferiority_p(regressions, fixes, images, share),
        max_difference=max_difference,
        mean_difference=float(differences.mean()),
        kl_divergence=kl_divergence(reference, probabilities),
        ece=ece,
        ece_difference=ece - original_ece,
        brier=brier,
        brier_difference=brier - brier_score(reference, labels),
        recall_differences=_recall_differences(original_correct, correct, labels, classes),
        confusion=_confusion(labels, predicted, classes),
        verdict=verdict,
        reason=reason,
        required_images=required_images,
    )


def find_flips(
    reference: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
) -> tuple[Flip, ...]:
    """The regressions and fixes among N images; `indices` [N] are the images' indices in the test set."""
    reference, probabilities = _replace_non_finite(reference), _replace_non_finite(probabilities)
    expected, predicted = reference.argmax(axis=1), probabilities.argmax(axis=1)
    (positions,) = np.nonzero((expected == labels) != (predicted == labels))
    return tuple(
        Flip(
            index=int(indices[i]),
            label=int(labels[i]),
            original_label=int(expected[i]),
            original_confidence=float(reference[i].max()),
            artifact_label=int(predicted[i]),
            artifact_confidence=float(probabilities[i].max()),
        )
        for i in positions
    )


def _check_shapes(
    reference: NDArray[np.float32], probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> None:
    if reference.shape != probabilities.shape or labels.shape != reference.shape[:1] or len(labels) == 0:
        shapes = f"{list(reference.shape)} and {list(probabilities.shape)}"
        raise ValueError(f"cannot compare probabilities of shapes {shapes} on {len(labels)} labels")


def _replace_non_finite(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(probabilities), probabilities, np.float32(0))


def _invalid_reason(source: str, probabilities: NDArray[np.float32]) -> str:
    """Why a value is not a probability; empty if all are."""
    if not np.isfinite(probabilities).all():
        return f"{source} predictions contain values that are not finite"
    low, high = probabilities.min(), probabilities.max()
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        return f"{source} predictions range from {low:g} to {high:g}, not from 0 to 1"
    return ""


def in_points(shares: Interval) -> Interval:
    """An interval of shares in percentage points."""
    return Interval(100 * shares.low, 100 * shares.high)


def _judge(interval: Interval, margin: float, p_value: float | None, invalid: str) -> tuple[Verdict, str]:
    if invalid:
        return "FAIL", invalid
    if interval.low > -margin:
        return "PASS", ""
    exceeds = f"more than the margin of {margin:g}"
    exceeds += "" if p_value is None else f" (McNemar p = {p_value:.2g})"
    if interval.high < -margin:
        return "FAIL", f"accuracy drop is at least {-interval.high:.3f} points, {exceeds}"
    return "INCONCLUSIVE", f"accuracy drop may be up to {-interval.low:.3f} points, {exceeds}"


def _recall_differences(
    original_correct: NDArray[np.bool_], correct: NDArray[np.bool_], labels: NDArray[np.int64], classes: int
) -> tuple[float | None, ...]:
    labels = labels.astype(np.intp)  # bincount rejects int64 on 32-bit platforms
    totals = np.bincount(labels, minlength=classes)
    changes = np.bincount(labels, correct, classes) - np.bincount(labels, original_correct, classes)
    return tuple(
        100 * float(change) / int(total) if total else None for change, total in zip(changes, totals, strict=True)
    )


def _confusion(labels: NDArray[np.int64], predicted: NDArray[np.intp], classes: int) -> tuple[tuple[int, ...], ...]:
    cells = (labels * classes + predicted).astype(np.intp)
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(map(int, row)) for row in counts)
