"""Statistics of latency samples: percentiles, and bootstrapped confidence intervals of medians."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from mnistkit.bench_report import Latency
from mnistkit.core.interval import Interval, Z
from mnistkit_bench.samples import SamplesByProcess

MIN_SAMPLES_BEYOND = 10  # samples that must lie beyond a percentile for it to be meaningful
RESAMPLES = 2000
BINS = 1000  # with equally many samples; the error of a bootstrapped median is at most one bin
MIN_PROCESSES, MIN_ROUNDS = 2, 5  # for a confidence interval


def min_samples(percentile: float) -> int:
    """The number of samples that a percentile needs."""
    return math.ceil(round(MIN_SAMPLES_BEYOND / (1 - percentile / 100), 6))


def summarize(processes: SamplesByProcess, seed: int = 1) -> Latency:
    """The statistics of these samples; percentiles by linear interpolation (Hyndman and Fan's type 7)."""
    microseconds = _pool(processes) / 1000

    def percentile(q: float) -> float | None:
        enough = len(microseconds) >= min_samples(q)
        return _rounded(np.percentile(microseconds, q)) if enough else None

    medians = bootstrap_medians(processes, seed)
    return Latency(
        samples=len(microseconds),
        p50=_rounded(np.median(microseconds)),
        p50_interval=None if medians is None else _confidence_interval(medians / 1000, len(processes)),
        p90=percentile(90),
        p99=percentile(99),
        p999=percentile(99.9),
        mean=_rounded(microseconds.mean()),
        std=_rounded(microseconds.std()),
        minimum=_rounded(microseconds.min()),
        maximum=_rounded(microseconds.max()),
        inferences_per_second=_rounded(1e6 / microseconds.mean()),
    )


def median_ratio(baseline: SamplesByProcess, current: SamplesByProcess, seed: int = 1) -> tuple[float, Interval | None]:
    """The ratio of the medians, current / baseline, and its 95% CI; None with too few processes or rounds."""
    ratio = float(np.median(_pool(current)) / np.median(_pool(baseline)))
    baseline_medians, current_medians = bootstrap_medians(baseline, seed), bootstrap_medians(current, seed + 1)
    if baseline_medians is None or current_medians is None:
        return ratio, None
    return ratio, _confidence_interval(current_medians / baseline_medians, min(len(baseline), len(current)))


def bootstrap_medians(processes: SamplesByProcess, seed: int) -> NDArray[np.float64] | None:
    """Medians of resamples in nanoseconds, float64 [RESAMPLES]; None with too few processes or rounds.

    A resample draws processes with replacement, and rounds of each of them with replacement. Samples are not drawn:
    those of one round are correlated, and so are those of one process, which share its memory layout (Davison and
    Hinkley, Bootstrap Methods and their Application, 3.8: the strategy that draws at both levels, the wider of two).
    """
    rounds = list(chain(*processes))
    if len(processes) < MIN_PROCESSES or len(rounds) < MIN_ROUNDS:
        return None
    # A histogram of each round, float64 [rounds, BINS]: the cost of a resample does not grow with the samples.
    samples = np.sort(_pool(processes))
    edges = np.quantile(samples, np.linspace(0, 1, BINS + 1))[1:-1]
    bins = [np.searchsorted(edges, round_, side="right") for round_ in rounds]
    histograms = np.stack([np.bincount(indices, minlength=BINS) for indices in bins]).astype(np.float64)

    bin_counts = histograms.sum(axis=0)
    bin_ends = bin_counts.cumsum()
    bin_medians = samples[((2 * bin_ends - bin_counts - 1) / 2).astype(int)]
    draws = _draw_rounds([len(process) for process in processes], seed)
    cumulative = np.ascontiguousarray(histograms.cumsum(axis=1).T)  # float64 [BINS, rounds]
    medians: NDArray[np.float64] = bin_medians[_median_bins(draws, cumulative)]
    return medians


def _median_bins(draws: NDArray[np.float64], cumulative: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each resample's median: the first whose cumulative count reaches half of the samples, by bisection."""
    half = draws @ cumulative[-1] / 2
    low, high = np.zeros(len(draws), np.intp), np.full(len(draws), len(cumulative) - 1, np.intp)
    while (low < high).any():
        middle = (low + high) // 2
        below = np.einsum("ij,ij->i", draws, cumulative[middle]) < half
        low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
    return low


def _draw_rounds(round_counts: Sequence[int], seed: int) -> NDArray[np.float64]:
    """How often each resample contains each round, float64 [RESAMPLES, rounds]; `round_counts` is by process."""
    random = np.random.default_rng(seed)
    processes = len(round_counts)
    process_draws = random.multinomial(processes, np.full(processes, 1 / processes), RESAMPLES)
    draws = [
        random.multinomial(times * count, np.full(count, 1 / count))
        for times, count in zip(process_draws.T, round_counts, strict=True)
    ]
    return np.concatenate(draws, axis=1).astype(np.float64)


def _confidence_interval(values: NDArray[np.float64], processes: int) -> Interval:
    """The 95% CI from bootstrapped values, expanded because few processes make plain percentiles too narrow.

    The percentiles are those that Student's t implies for so many processes: T. Hesterberg, What Teachers Should Know
    About the Bootstrap, The American Statistician 69 (2015).
    """
    df = processes - 1
    # Student's t quantile by the Cornish-Fisher expansion
    t = Z + (Z**3 + Z) / (4 * df) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * df**2)
    percentile = 50 * math.erfc(t * math.sqrt(processes / df / 2))
    low, high = np.percentile(values, (percentile, 100 - percentile))
    return Interval(_rounded(low), _rounded(high))


def _pool(processes: SamplesByProcess) -> NDArray[np.float64]:
    """All samples, float64 [samples]."""
    return np.concatenate(list(chain(*processes))).astype(np.float64)


def _rounded(value: SupportsFloat) -> float:
    return round(float(value), 4)
