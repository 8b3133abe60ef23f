"""Recorded predictions, and what they say of an artifact against the original. Pure; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["PASS", "FAIL"]


@dataclass(frozen=True)
class Parity:
    """How an artifact compares with the original model on the same images."""

    images: int
    accuracy: float
    difference: float  # of the accuracies, artifact − original, in percentage points
    agreement: float  # share of the images on which both give the same label
    verdict: Verdict
    reason: str  # why it failed; empty where it passed


def compare(
    reference: NDArray[np.float32], answers: NDArray[np.float32], labels: NDArray[np.int64], margin: float
) -> Parity:
    """Hold `answers` against `reference`, both probabilities [N, classes], on the true `labels` [N].

    FAIL where the accuracy is lower by more than `margin` percentage points, or an answer is not finite.
    """
    import numpy as np

    expected, given = reference.argmax(axis=1), answers.argmax(axis=1)
    # Counted in whole images, so that a difference of exactly the margin is no matter of rounding.
    gained = int((given == labels).sum()) - int((expected == labels).sum())
    difference = 100 * gained / len(labels)
    reason = ""
    if not np.isfinite(answers).all():
        reason = "it gives values that are not finite"
    elif -gained > margin * len(labels) / 100 + 1e-9:
        reason = f"it loses {-difference:.2f} points, more than the margin of {margin:g}"
    return Parity(
        images=len(labels),
        accuracy=float((given == labels).mean()),
        difference=difference,
        agreement=float((given == expected).mean()),
        verdict="FAIL" if reason else "PASS",
        reason=reason,
    )
