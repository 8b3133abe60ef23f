"""Images drawn at random, the classes in the shares that are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def proportional(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """`count` indices, in order, each class in its own share of `labels`, give or take less than one image.

    What whole images leave over goes to the classes with the largest remainders (Hamilton's method).
    """
    import numpy as np

    there = np.bincount(labels.astype(np.intp)).astype(np.int64)  # with 32 bits it takes and gives no more
    wanted, remainders = np.divmod(there * count, len(labels))
    wanted[np.argsort(-remainders, kind="stable")[: count - wanted.sum()]] += 1
    order = np.random.default_rng(seed).permutation(len(labels)).astype(np.int64)
    drawn = labels[order]
    return np.sort(order[rank_in_class(drawn) < wanted[drawn]])


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each label, how many of its kind stand before it: taking low ranks first takes classes in turn."""
    import numpy as np

    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        (places,) = np.nonzero(labels == label)
        ranks[places] = np.arange(len(places))
    return ranks
