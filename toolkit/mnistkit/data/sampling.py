"""Stratified sampling of images by class."""

import numpy as np
from numpy.typing import NDArray


def stratified_sample(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw `count` indices at random, each class in proportion to its frequency in `labels`; sorted.

    Class counts are rounded to whole images by the largest-remainder method (Hamilton's).
    """
    frequencies = np.bincount(labels.astype(np.intp)).astype(np.int64)  # bincount needs intp, 32 bits on armv7l
    class_counts, remainders = np.divmod(frequencies * count, len(labels))
    missing = count - class_counts.sum()
    class_counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
    order = np.random.default_rng(seed).permutation(len(labels)).astype(np.int64)
    shuffled = labels[order]
    return np.sort(order[rank_in_class(shuffled) < class_counts[shuffled]])


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each label, the number of equal labels before it. Sorting by rank balances the classes."""
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        (positions,) = np.nonzero(labels == label)
        ranks[positions] = np.arange(len(positions))
    return ranks
