"""What the times of a row come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from mnistkit.bench_report import Latency
from mnistkit.core.interval import Interval, Z
from mnistkit_bench.samples import Times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SAMPLES_BEYOND = 10  # samples that must lie beyond a percentile before it means anything
RESAMPLES = 2000
BINS = 1000  # each with as many samples: a thousandth of them is what a bootstrapped median may be off by
MIN_PROCESSES, MIN_ROUNDS = 2, 5  # for an interval


def min_samples(percentile: float) -> int:
    """How many samples that percentile needs."""
    return math.ceil(round(MIN_SAMPLES_BEYOND / (1 - percentile / 100), 6))


def summarize(processes: Times, seed: int = 1) -> Latency:
    """The figures of these nanoseconds; percentiles by linear interpolation (Hyndman and Fan's type 7)."""
    import numpy as np

    times = _pooled(processes) / 1000

    def percentile(wanted: float) -> float | None:
        return _rounded(float(np.percentile(times, wanted))) if len(times) >= min_samples(wanted) else None

    medians = bootstrap(processes, seed)
    return Latency(
        samples=len(times),
        p50=_rounded(float(np.median(times))),
        p50_interval=None if medians is None else _interval(medians / 1000, len(processes)),
        p90=percentile(90),
        p99=percentile(99),
        p999=percentile(99.9),
        mean=_rounded(float(times.mean())),
        deviation=_rounded(float(times.std())),
        minimum=_rounded(float(times.min())),
        maximum=_rounded(float(times.max())),
        per_second=_rounded(1e6 / float(times.mean())),
    )


def bootstrap(processes: Times, seed: int) -> NDArray[np.float64] | None:
    """Medians, in nanoseconds, of processes drawn anew with replacement, and of rounds of each; None for too few.

    Not times are drawn, for those of one round resemble each other, and those of one process, which lies where it
    lies in memory (Davison and Hinkley, Bootstrap Methods and their Application, 3.8: of their two strategies the
    one that draws at both levels, which is the wider).
    """
    import numpy as np

    if len(processes) < MIN_PROCESSES or sum(map(len, processes)) < MIN_ROUNDS:
        return None
    # Times are counted in bins, so that what a draw costs does not grow with the samples.
    times = np.sort(_pooled(processes))
    edges = np.quantile(times, np.linspace(0, 1, BINS + 1))[1:-1]
    places = [np.searchsorted(edges, each, side="right") for each in chain(*processes)]
    counts = np.stack([np.bincount(place, minlength=BINS) for place in places]).astype(np.float64)
    ends = counts.sum(axis=0).cumsum()
    middles = ((ends - counts.sum(axis=0) + ends - 1) / 2).astype(int)  # of the times in each bin
    reached = (_drawn([*map(len, processes)], seed) @ counts).cumsum(axis=1)
    medians: NDArray[np.float64] = times[middles[(reached < reached[:, -1:] / 2).sum(axis=1)]]
    return medians


def _drawn(rounds: Sequence[int], seed: int) -> NDArray[np.float64]:
    """How often each round comes up in each resample, float64 [resamples, rounds], for processes with so many each."""
    import numpy as np

    random = np.random.default_rng(seed)
    processes = random.multinomial(len(rounds), np.full(len(rounds), 1 / len(rounds)), RESAMPLES)
    pairs = zip(processes.T, rounds, strict=True)
    drawn = [random.multinomial(times * many, np.full(many, 1 / many)) for times, many in pairs]
    return np.concatenate(drawn, axis=1).astype(np.float64)


def ratio(old: Times, new: Times, seed: int = 1) -> tuple[float, Interval | None]:
    """Of the medians, new / old, and its 95% interval; None where there were too few processes or rounds."""
    import numpy as np

    medians = [float(np.median(_pooled(times))) for times in (old, new)]
    drawn = bootstrap(old, seed), bootstrap(new, seed + 1)
    interval = None if drawn[0] is None or drawn[1] is None else _interval(drawn[1] / drawn[0], min(len(old), len(new)))
    return medians[1] / medians[0], interval


def _interval(values: NDArray[np.float64], processes: int) -> Interval:
    """The 95% interval of bootstrapped values, expanded for the few processes that they come from.

    Percentiles as far out as Student's t is for so many, after T. Hesterberg, What teachers should know about the
    bootstrap, The American Statistician 69 (2015); plain ones are too narrow.
    """
    import numpy as np

    freedom = processes - 1
    t = Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)  # Cornish and Fisher
    outside = 50 * math.erfc(t * math.sqrt(processes / freedom / 2))
    low, high = np.percentile(values, (outside, 100 - outside))
    return Interval(_rounded(float(low)), _rounded(float(high)))


def _pooled(processes: Times) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate([*chain(*processes)]).astype(np.float64)


def _rounded(value: float) -> float:
    return round(value, 4)
