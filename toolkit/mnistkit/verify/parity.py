"""Recorded predictions, and what they say of an artifact against the original. Pure; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mnistkit.core.interval import Interval
from mnistkit.verify import paired

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]

FLOAT32_TOLERANCE = 1e-4  # of a probability: what float32 sums may differ by, added in another order
OUTSIDE = 0.01  # how far below 0 or above 1 a probability may be stored: rounding, no more


@dataclass(frozen=True)
class Parity:
    """How an artifact compares with the original model on the same images; all differences are artifact − original."""

    images: int
    accuracy: float
    original_accuracy: float
    difference: float  # of the accuracies, in percentage points
    interval: Interval  # of the difference, 95%, in percentage points
    agreement: float  # share of the images on which both give the same label
    regressions: int  # images that the original alone has right
    fixes: int  # images that the artifact alone has right
    p_value: float  # McNemar's, exact: of so uneven a split of broken and mended, if both were equally good
    max_difference: float  # of any probability
    mean_difference: float
    recall_differences: tuple[float | None, ...]  # by class, in percentage points; None: there is no image of it
    confusion: tuple[tuple[int, ...], ...]  # images by true class and the artifact's answer
    verdict: Verdict
    reason: str  # why it is no PASS; empty where it is one
    required_images: int | None  # where it is INCONCLUSIVE; None: there is no such number


@dataclass(frozen=True)
class Flip:
    """An image that the artifact broke or mended."""

    index: int  # in the test set
    label: int  # the truth
    original: int  # its answer
    original_confidence: float
    artifact: int
    artifact_confidence: float

    @property
    def is_regression(self) -> bool:
        """Whether the original had it right."""
        return self.original == self.label


def compare(
    reference: NDArray[np.float32],
    answers: NDArray[np.float32],
    labels: NDArray[np.int64],
    margin: float,
    tolerance: float | None = None,
) -> Parity:
    """Hold `answers` against `reference`, both probabilities [N, classes], on the true `labels` [N].

    A test of non-inferiority at `margin` percentage points: PASS where the whole interval of the difference lies
    above −`margin`, FAIL where it lies below, else INCONCLUSIVE. FAIL too where an answer is no probability, or
    one differs by more than `tolerance`. In the figures, what is not finite counts as 0.

    Raises ValueError where the shapes don't fit each other.
    """
    import numpy as np

    _check_shapes(reference, answers, labels)
    spoiled = _spoiled("it", answers) or _spoiled("what it is held against", reference)
    reference, answers = _finite(reference), _finite(answers)
    expected, given = reference.argmax(axis=1), answers.argmax(axis=1)
    was_right, is_right = expected == labels, given == labels
    regressions, fixes = int((was_right & ~is_right).sum()), int((is_right & ~was_right).sum())
    change = np.abs(np.subtract(answers, reference, dtype=np.float64))
    found = paired.tango_interval(regressions, fixes, len(labels))
    interval = Interval(100 * found.low, 100 * found.high)
    if not spoiled and tolerance is not None and change.max() > tolerance:
        spoiled = f"a probability differs by {change.max():.2g}, more than the {tolerance:g} of rounding"
    p_value = paired.mcnemar(regressions, fixes)
    verdict, reason = _judge(interval, margin, p_value, spoiled)
    settles = (
        paired.required_images(regressions, fixes, len(labels), margin / 100) if verdict == "INCONCLUSIVE" else None
    )
    return Parity(
        images=len(labels),
        accuracy=float(is_right.mean()),
        original_accuracy=float(was_right.mean()),
        difference=100 * (fixes - regressions) / len(labels),
        interval=interval,
        agreement=float((given == expected).mean()),
        regressions=regressions,
        fixes=fixes,
        p_value=p_value,
        max_difference=float(change.max()),
        mean_difference=float(change.mean()),
        recall_differences=_recall_differences(was_right, is_right, labels, reference.shape[1]),
        confusion=_confusion(labels, given, reference.shape[1]),
        verdict=verdict,
        reason=reason,
        required_images=settles,
    )


def flips(
    reference: NDArray[np.float32], answers: NDArray[np.float32], labels: NDArray[np.int64], indices: NDArray[np.int64]
) -> tuple[Flip, ...]:
    """The images that were broken or mended; `indices` [N] are theirs in the test set."""
    import numpy as np

    reference, answers = _finite(reference), _finite(answers)
    expected, given = reference.argmax(axis=1), answers.argmax(axis=1)
    (places,) = np.nonzero((expected == labels) != (given == labels))
    return tuple(
        Flip(
            index=int(indices[place]),
            label=int(labels[place]),
            original=int(expected[place]),
            original_confidence=float(reference[place].max()),
            artifact=int(given[place]),
            artifact_confidence=float(answers[place].max()),
        )
        for place in places
    )


def _check_shapes(reference: NDArray[np.float32], answers: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    if reference.shape != answers.shape or labels.shape != reference.shape[:1] or len(labels) == 0:
        shapes = f"{list(reference.shape)} and {list(answers.shape)}"
        raise ValueError(f"answers of the shapes {shapes} can't be compared on {len(labels)} labels")


def _finite(answers: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return np.where(np.isfinite(answers), answers, np.float32(0))


def _spoiled(what: str, answers: NDArray[np.float32]) -> str:
    """Why these answers are no probabilities; empty where they are."""
    import numpy as np

    if not np.isfinite(answers).all():
        return f"{what} gives values that are not finite"
    if answers.min() < -OUTSIDE or answers.max() > 1 + OUTSIDE:
        return f"{what} gives probabilities from {answers.min():g} to {answers.max():g}"
    return ""


def _judge(interval: Interval, margin: float, p_value: float, spoiled: str) -> tuple[Verdict, str]:
    if spoiled:
        return "FAIL", spoiled
    if interval.low > -margin:
        return "PASS", ""
    beyond = f"more than the margin of {margin:g} (McNemar's p = {p_value:.2g})"
    if interval.high < -margin:
        return "FAIL", f"it loses {-interval.high:.3f} points at least, {beyond}"
    return "INCONCLUSIVE", f"it may lose up to {-interval.low:.3f} points, {beyond}"


def _recall_differences(
    was_right: NDArray[np.bool_], is_right: NDArray[np.bool_], labels: NDArray[np.int64], classes: int
) -> tuple[float | None, ...]:
    import numpy as np

    labels = labels.astype(np.intp)  # bincount takes no int64 on 32 bits
    of_class = np.bincount(labels, minlength=classes)
    gained = np.bincount(labels, is_right, classes) - np.bincount(labels, was_right, classes)
    return tuple(100 * float(more) / int(all) if all else None for more, all in zip(gained, of_class, strict=True))


def _confusion(labels: NDArray[np.int64], given: NDArray[np.intp], classes: int) -> tuple[tuple[int, ...], ...]:
    import numpy as np

    cells = (labels * classes + given).astype(np.intp)
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(map(int, row)) for row in counts)
