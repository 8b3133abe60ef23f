"""Statistics of paired answers: two classifiers on the same images, of which each is right or wrong. Pure; numpy only.

All that counts is how many images one classifier alone got right, and how many the other.
"""

from __future__ import annotations

import math

from mnistkit.core.interval import Interval, Z

MAX_REQUIRED_IMAGES = 10**9  # beyond this the number of required images is not searched


def mcnemar(lost: int, gained: int) -> float:
    """The exact two-sided p-value that losses and gains are equally likely (McNemar's test, binomial form)."""
    import numpy as np

    count, fewer = lost + gained, min(lost, gained)
    if 2 * fewer == count:
        return 1.0
    k = np.arange(1, fewer + 1)
    # log of the binomial coefficients (count over 0 … fewer): the numbers themselves pass all bounds.
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - k + 1) / k))])
    tail = logs.max() + math.log(np.exp(logs - logs.max()).sum()) - count * math.log(2)
    return min(1.0, 2 * math.exp(tail))


def tango_interval(lost: float, gained: float, images: float) -> Interval:
    """The 95% score interval of the difference of two paired shares, (gained − lost) / images.

    T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17 (1998). Unlike Wald's it holds its level, and has a width, where few
    answers or none differ.
    """
    observed = (gained - lost) / images
    return Interval(
        _root(lost, gained, images, -1.0, observed, Z),
        _root(lost, gained, images, observed, 1.0, -Z),
    )


def _root(lost: float, gained: float, images: float, low: float, high: float, target: float) -> float:
    """Where, between `low` and `high`, the score statistic, which falls, is `target`; by bisection."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:  # no float is left between them
            return middle
        if _score(lost, gained, images, middle) > target:
            low = middle
        else:
            high = middle


def _score(lost: float, gained: float, images: float, delta: float) -> float:
    """How many standard errors the observed difference lies above `delta`, if that were the true one."""
    b = (2 * images - gained + lost) * delta - gained - lost
    c = -lost * delta * (1 - delta)
    share = (math.sqrt(max(0.0, b * b - 8 * images * c)) - b) / (4 * images)  # of the losses, given delta
    variance = images * (2 * share + delta * (1 - delta))
    distance = gained - lost - images * delta
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def required_images(lost: int, gained: int, images: int, margin: float) -> int | None:
    """How many images leave −`margin` outside the interval if losses and gains go on at their rate; None: no number."""

    def settled(count: int) -> bool:
        found = tango_interval(lost * count / images, gained * count / images, count)
        return found.low > -margin or found.high < -margin

    low, high = images, images
    while not settled(high):
        low, high = high, 2 * high
        if high > MAX_REQUIRED_IMAGES:
            return None
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high
