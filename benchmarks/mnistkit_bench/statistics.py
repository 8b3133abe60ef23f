"""What a row of raw times comes to. Times come in rounds, which a process measured one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnistkit.paired import Interval, Z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEYOND = 10  # samples that must lie beyond a percentile before it means anything
RESAMPLES = 2000
BINS = 1000  # each with as many samples: a thousandth of them is what a bootstrapped median may be off by
FEWEST_ROUNDS = 5  # for an interval

Rounds = Sequence["Sequence[int] | NDArray[np.int64]"]  # nanoseconds


@dataclass(frozen=True)
class Latency:
    """Of one inference, in microseconds. A percentile that the samples can't support is None."""

    samples: int
    p50: float
    p50_interval: Interval | None  # 95%; None: there were too few rounds
    p90: float | None
    p99: float | None
    p999: float | None
    mean: float
    deviation: float  # standard
    minimum: float
    maximum: float
    per_second: float


def needed(percentile: float) -> int:
    """How many samples that percentile needs."""
    return math.ceil(round(BEYOND / (1 - percentile / 100), 6))


def summarise(rounds: Rounds, seed: int = 1) -> Latency:
    """The figures of these times; percentiles by linear interpolation (Hyndman and Fan's type 7)."""
    import numpy as np

    times = np.concatenate([np.asarray(each, np.float64) for each in rounds]) / 1000

    def percentile(wanted: float) -> float | None:
        return _rounded(float(np.percentile(times, wanted))) if len(times) >= needed(wanted) else None

    medians = bootstrap(rounds, seed)
    return Latency(
        samples=len(times),
        p50=_rounded(float(np.median(times))),
        p50_interval=None if medians is None else _interval(medians / 1000, len(rounds)),
        p90=percentile(90),
        p99=percentile(99),
        p999=percentile(99.9),
        mean=_rounded(float(times.mean())),
        deviation=_rounded(float(times.std())),
        minimum=_rounded(float(times.min())),
        maximum=_rounded(float(times.max())),
        per_second=_rounded(1e6 / float(times.mean())),
    )


def bootstrap(rounds: Rounds, seed: int) -> NDArray[np.float64] | None:
    """Medians, in nanoseconds, of rounds drawn anew with replacement; None where there are too few rounds.

    Rounds and not times are drawn, for those of one round resemble each other (a cluster bootstrap: Davison and
    Hinkley, Bootstrap Methods and their Application, 3.8).
    """
    import numpy as np

    if len(rounds) < FEWEST_ROUNDS:
        return None
    # Times are counted in bins, so that what a draw costs does not grow with the samples.
    times = np.sort(np.concatenate([np.asarray(each, np.float64) for each in rounds]))
    edges = np.quantile(times, np.linspace(0, 1, BINS + 1))[1:-1]
    places = [np.searchsorted(edges, np.asarray(each, np.float64), side="right") for each in rounds]
    counts = np.stack([np.bincount(place, minlength=BINS) for place in places]).astype(np.float64)
    ends = counts.sum(axis=0).cumsum()
    middles = ((ends - counts.sum(axis=0) + ends - 1) / 2).astype(int)  # of the times in each bin
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(rounds), np.full(len(rounds), 1 / len(rounds)), RESAMPLES)
    reached = (drawn.astype(np.float64) @ counts).cumsum(axis=1)
    medians: NDArray[np.float64] = times[middles[(reached < reached[:, -1:] / 2).sum(axis=1)]]
    return medians


def ratio(old: Rounds, new: Rounds, seed: int = 1) -> tuple[float, Interval | None]:
    """Of the medians, new / old, and its 95% interval; None where there were too few rounds."""
    import numpy as np

    medians = [float(np.median(np.concatenate([np.asarray(each) for each in rounds]))) for rounds in (old, new)]
    drawn = bootstrap(old, seed), bootstrap(new, seed + 1)
    interval = None if drawn[0] is None or drawn[1] is None else _interval(drawn[1] / drawn[0], min(len(old), len(new)))
    return medians[1] / medians[0], interval


def _interval(values: NDArray[np.float64], rounds: int) -> Interval:
    """The 95% interval of bootstrapped values, expanded for the few rounds that they come from.

    Percentiles as far out as Student's t is for so many, after T. Hesterberg, What teachers should know about the
    bootstrap, The American Statistician 69 (2015): plain percentiles would be too narrow.
    """
    import numpy as np

    freedom = rounds - 1
    t = Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)  # Cornish and Fisher
    outside = 50 * math.erfc(t * math.sqrt(rounds / freedom / 2))
    low, high = np.percentile(values, (outside, 100 - outside))
    return Interval(_rounded(float(low)), _rounded(float(high)))


def _rounded(value: float) -> float:
    return round(value, 4)
