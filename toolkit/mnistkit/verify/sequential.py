"""An anytime-valid test of accuracy parity: it may look after every batch of images and stop as soon as it is certain.

It bets on the paired differences d of images in random order (−1: only the original is right, +1: only the artifact is,
else 0). For a candidate μ of the mean difference, a bettor who starts with 1 and stakes the share λ of the wealth on "d
is above μ" multiplies it by 1 + λ (d − μ) with each image. If the mean is at most μ, the wealth is a supermartingale:
it ever reaches 1 / α with a probability of at most α (Ville's inequality), however often one looks. All μ whose wealth
has not reached it, in either direction, form a confidence sequence.

I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, Journal of the Royal Statistical
Society B 86 (2024).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.interval import Interval

ALPHA = 0.025  # in each direction, as in a two-sided 95% interval
# Means of the difference that are tested: every 0.01 percentage points near 0, every 0.1 elsewhere.
CANDIDATES = np.union1d(np.arange(-999, 1000) / 1000, np.arange(-300, 301) / 10_000)
PRIOR_IMAGES = 1000  # that the first bets take to have been seen, with half a regression and half a fix
MAX_STAKE = 0.999  # of the wealth that one image may cost


class Counts(NamedTuple):
    """The outcomes of some images."""

    images: int
    regressions: int
    fixes: int


class ConfidenceSequence:
    """The means of the paired difference that are not rejected after the images so far."""

    def __init__(self, margin: float, candidates: NDArray[np.float64] = CANDIDATES) -> None:
        """`margin` and `candidates`, between −1 and 1, are shares; −`margin` is tested too."""
        self._means = np.union1d(candidates, [-margin])
        self._log_wealth_above, self._log_wealth_below = np.zeros((2, len(self._means)))
        self._rejected = np.zeros(len(self._means), bool)
        self._seen = Counts(0, 0, 0)

    def add(self, batch: Counts) -> Interval:
        """Take the images of a batch into account, and return the interval, as shares."""
        means, seen = self._means, self._seen
        mirrored = Counts(seen.images, seen.fixes, seen.regressions)
        self._log_wealth_above += _log_growth(best_stakes(means, seen), means, batch)
        self._log_wealth_below += _log_growth(-best_stakes(-means, mirrored), means, batch)
        self._seen = Counts(*map(sum, zip(seen, batch, strict=True)))
        rejected = self._rejected | (np.maximum(self._log_wealth_above, self._log_wealth_below) >= -math.log(ALPHA))
        if not rejected.all():
            self._rejected = rejected
        kept = means[~self._rejected]
        return Interval(float(kept[0]), float(kept[-1]))


def best_stakes(means: NDArray[np.float64], seen: Counts) -> NDArray[np.float64]:
    """The stakes, float64 [means], on "d is above the mean" that would have grown the wealth most; at least 0.

    The derivative of the expected log growth, with the rates of regressions and fixes seen so far, is a quadratic.
    """
    total = seen.images + PRIOR_IMAGES
    regression, fix = (seen.regressions + 0.5) / total, (seen.fixes + 0.5) / total
    neither = 1 - regression - fix
    a, b, c = -1 - means, -means, 1 - means  # d − μ of the three outcomes
    constant = regression * a + neither * b + fix * c
    linear = regression * a * (b + c) + neither * b * (a + c) + fix * c * (a + b)
    quadratic = a * b * c
    with np.errstate(divide="ignore"):
        root = 2 * constant / (-linear + np.sqrt(np.maximum(linear**2 - 4 * quadratic * constant, 0)))
    return np.where(constant > 0, np.minimum(root, MAX_STAKE / (1 + means)), 0.0)


def _log_growth(stakes: NDArray[np.float64], means: NDArray[np.float64], batch: Counts) -> NDArray[np.float64]:
    neither = batch.images - batch.regressions - batch.fixes
    growth: NDArray[np.float64] = (
        batch.regressions * np.log1p(stakes * (-1 - means))
        + neither * np.log1p(-stakes * means)
        + batch.fixes * np.log1p(stakes * (1 - means))
    )
    return growth
