"""Statistics of paired predictions: two classifiers on the same images. Pure.

They depend only on the number of images and of flips: regressions are the images that only the first classifier gets
right, fixes those that only the second gets right.
"""

import math
from statistics import NormalDist

import numpy as np

from mnistkit.core.interval import Interval, Z

MAX_REQUIRED_IMAGES = 10**9  # required_images searches no further


def mcnemar(regressions: int, fixes: int) -> float:
    """The two-sided p-value of McNemar's exact (binomial) test that regressions and fixes are equally likely."""
    flips, fewer = regressions + fixes, min(regressions, fixes)
    if 2 * fewer == flips:
        return 1.0
    k = np.arange(1, fewer + 1)
    # Logarithms of the binomial coefficients (flips over 0 to fewer): the coefficients overflow a float.
    logs = np.concatenate([[0.0], np.cumsum(np.log((flips - k + 1) / k))])
    log_tail = logs.max() + math.log(np.exp(logs - logs.max()).sum()) - flips * math.log(2)
    return min(1.0, 2 * math.exp(log_tail))


def tango_interval(regressions: float, fixes: float, images: float, z: float = Z) -> Interval:
    """The score interval of the difference of two paired proportions, (fixes − regressions) / images.

    A 95% interval unless `z` is another normal quantile.

    T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17 (1998). Unlike Wald's interval, it keeps its coverage and a positive width if
    there are few flips or none.
    """
    observed = (fixes - regressions) / images
    return Interval(
        _solve_score(regressions, fixes, images, -1.0, observed, z),
        _solve_score(regressions, fixes, images, observed, 1.0, -z),
    )


def non_inferiority_p(regressions: int, fixes: int, images: int, margin: float) -> float:
    """The one-sided p-value of the hypothesis that the accuracy drop is `margin`, a share, or more.

    By the score statistic of `tango_interval`: it is below 2.5% if the interval lies above −`margin`.
    """
    return NormalDist().cdf(-_score(regressions, fixes, images, -margin))


def smallest_settled_margin(images: int) -> float:
    """The smallest margin, a share, at which so many images without a flip pass."""
    return -tango_interval(0, 0, images).low


def _solve_score(regressions: float, fixes: float, images: float, low: float, high: float, target: float) -> float:
    """The difference between `low` and `high` at which the score statistic is `target`, by bisection."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:  # low and high are adjacent floats
            return middle
        if _score(regressions, fixes, images, middle) > target:  # the statistic decreases
            low = middle
        else:
            high = middle


def _score(regressions: float, fixes: float, images: float, delta: float) -> float:
    """The score statistic of the observed difference if the true one is `delta`, in standard errors."""
    b = (2 * images - fixes + regressions) * delta - fixes - regressions
    c = -regressions * delta * (1 - delta)
    # Maximum likelihood estimate of the probability of a regression, given delta.
    p = (math.sqrt(max(0.0, b * b - 8 * images * c)) - b) / (4 * images)
    variance = images * (2 * p + delta * (1 - delta))
    deviation = fixes - regressions - images * delta
    return deviation / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, deviation)


def required_images(regressions: int, fixes: int, images: int, margin: float, z: float = Z) -> int | None:
    """The smallest sample size, at least `images`, that decides the test at `margin` if the rates of flips persist.

    None if it exceeds MAX_REQUIRED_IMAGES.
    """

    def decides(count: int) -> bool:
        interval = tango_interval(regressions * count / images, fixes * count / images, count, z)
        return interval.low > -margin or interval.high < -margin

    low, high = images, images
    while not decides(high):
        low, high = high, 2 * high
        if high > MAX_REQUIRED_IMAGES:
            return None
    while low + 1 < high:
        middle = (low + high) // 2
        if decides(middle):
            high = middle
        else:
            low = middle
    return high
