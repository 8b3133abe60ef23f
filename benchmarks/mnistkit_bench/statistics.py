"""Statistics of latency samples: percentiles, and their bootstrapped confidence intervals."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from mnistkit.bench_report import IdleLatency, Latency, ObservedLatency, Percentile
from mnistkit.core.interval import Interval, Z
from mnistkit_bench.samples import RoundsByProcess, SamplesByProcess, all_samples, count, idle_samples, pool

MIN_SAMPLES_BEYOND = 10  # samples that must lie beyond a percentile for it to be meaningful
RESAMPLES = 2000
PERCENTILES = (50, 90, 99, 99.9)
# Shares of the samples at which bins end. The error of a bootstrapped percentile is at most one bin, so there are more
# of them in the tail.
BIN_EDGES = np.concatenate([np.arange(0, 0.99, 0.001), np.arange(0.99, 0.999, 0.0001), np.linspace(0.999, 1, 101)])
MIN_SHARE_OF_TAIL = 0.95  # of the samples that must be idle for their p90 and p99 to describe the idle machine
TARGET_HALF_WIDTH = 0.02  # of the 95% CI of the p50, as a fraction of the p50
MIN_PROCESSES, MIN_ROUNDS = 2, 5  # for a confidence interval


def min_samples(percentile: float) -> int:
    """The number of samples that a percentile needs."""
    return math.ceil(round(MIN_SAMPLES_BEYOND / (1 - percentile / 100), 6))


def summarize(processes: RoundsByProcess, seed: int = 1) -> Latency:
    """Both views of the samples; percentiles by linear interpolation (Hyndman and Fan's type 7)."""
    return Latency(_idle_latency(processes, seed), _observed_latency(all_samples(processes), seed))


def _idle_latency(processes: RoundsByProcess, seed: int) -> IdleLatency:
    idle, everything = idle_samples(processes), all_samples(processes)
    used = idle or everything
    microseconds = pool(used) / 1000.0
    share = len(microseconds) / count(chain(*everything)) if idle else 0.0
    p90, p99 = (_percentile(microseconds, q) if share >= MIN_SHARE_OF_TAIL else None for q in (90, 99))
    medians = bootstrap(idle, (50,), seed)
    return IdleLatency(
        samples=len(microseconds),
        share=round(share, 4),
        p50=_rounded(np.median(microseconds)),
        p50_interval=None if medians is None else confidence_interval(medians[0] / 1000, len(idle)),
        p90=p90,
        p99=p99,
    )


def _observed_latency(processes: SamplesByProcess, seed: int) -> ObservedLatency:
    microseconds = pool(processes) / 1000.0
    resampled = bootstrap(processes, PERCENTILES, seed)

    def with_interval(number: int, value: float) -> Percentile:
        interval = None if resampled is None else confidence_interval(resampled[number] / 1000, len(processes))
        return Percentile(value, interval)

    def tail(number: int) -> Percentile | None:
        value = _percentile(microseconds, PERCENTILES[number])
        return None if value is None else with_interval(number, value)

    mean = float(microseconds.mean())
    return ObservedLatency(
        samples=len(microseconds),
        p50=with_interval(0, _rounded(np.median(microseconds))),
        p90=tail(1),
        p99=tail(2),
        p999=tail(3),
        minimum=_rounded(microseconds.min()),
        maximum=_rounded(microseconds.max()),
        mean=_rounded(mean),
        std=_rounded(microseconds.std()),
        inferences_per_second=_rounded(1e6 / mean),
    )


def _percentile(microseconds: NDArray[np.float64], q: float) -> float | None:
    enough = len(microseconds) >= min_samples(q)
    return _rounded(np.percentile(microseconds, q)) if enough else None


def percentile_ratio(
    baseline: SamplesByProcess, current: SamplesByProcess, q: float = 50, seed: int = 1
) -> tuple[float, Interval | None]:
    """The ratio of percentiles, current / baseline, and its 95% CI; None with too few processes or rounds."""
    ratio = float(np.percentile(pool(current), q) / np.percentile(pool(baseline), q))
    resampled = bootstrap(baseline, (q,), seed), bootstrap(current, (q,), seed + 1)
    if resampled[0] is None or resampled[1] is None:
        return ratio, None
    return ratio, confidence_interval(resampled[1][0] / resampled[0][0], min(len(baseline), len(current)))


def bootstrap(processes: SamplesByProcess, percentiles: Sequence[float], seed: int) -> NDArray[np.float64] | None:
    """Percentiles of resamples in nanoseconds, float64 [percentiles, RESAMPLES]; None with too few processes or rounds.

    A resample draws processes with replacement, and rounds of each of them with replacement. Samples are not drawn:
    those of one round are correlated, and so are those of one process, which share its memory layout (Davison and
    Hinkley, Bootstrap Methods and their Application, 3.8: the strategy that draws at both levels, the wider of two).
    """
    if too_few(processes):
        return None
    rounds = list(chain(*processes))
    # A histogram of each round, float64 [rounds, bins]: the cost of a resample does not grow with the samples.
    samples = np.sort(pool(processes))
    edges = np.quantile(samples, BIN_EDGES)[1:-1]
    bins = [np.searchsorted(edges, round_, side="right") for round_ in rounds]
    histograms = np.stack([np.bincount(indices, minlength=len(edges) + 1) for indices in bins]).astype(np.float64)

    bin_counts = histograms.sum(axis=0)
    bin_ends = bin_counts.cumsum()
    bin_medians = samples[((2 * bin_ends - bin_counts - 1) / 2).astype(int)]
    draws = _draw_rounds([len(process) for process in processes], seed)
    cumulative = np.ascontiguousarray(histograms.cumsum(axis=1).T)  # float64 [bins, rounds]
    return np.stack([bin_medians[_bins_of_percentile(draws, cumulative, q)] for q in percentiles])


def too_few(processes: SamplesByProcess) -> bool:
    """Whether there are too few processes or rounds for a confidence interval."""
    return len(processes) < MIN_PROCESSES or sum(map(len, processes)) < MIN_ROUNDS


def _bins_of_percentile(
    draws: NDArray[np.float64], cumulative: NDArray[np.float64], percentile: float
) -> NDArray[np.intp]:
    """The bin of each resample's percentile: the first whose cumulative count reaches its rank, by bisection."""
    rank = draws @ cumulative[-1] * percentile / 100
    low, high = np.zeros(len(draws), np.intp), np.full(len(draws), len(cumulative) - 1, np.intp)
    while (low < high).any():
        middle = (low + high) // 2
        below = np.einsum("ij,ij->i", draws, cumulative[middle]) < rank
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


def required_processes(processes: SamplesByProcess) -> float:
    """How many processes make the 95% CI of the p50 as narrow as TARGET_HALF_WIDTH; infinite if that is unknown yet.

    From the variance of the medians of the processes measured so far: T. Kalibera and R. Jones, Rigorous Benchmarking
    in Reasonable Time, ISMM 2013, section 9.1. More samples in a process would not narrow the CI as much.
    """
    if len(processes) < MIN_PROCESSES:
        return math.inf
    medians = np.array([np.median(np.concatenate(rounds)) for rounds in processes])
    deviation = float(medians.std(ddof=1) / medians.mean())
    return math.ceil((_student_t(len(processes) - 1) * deviation / TARGET_HALF_WIDTH) ** 2)


def confidence_interval(values: NDArray[np.float64], processes: int) -> Interval:
    """The 95% CI from bootstrapped values, expanded because few processes make plain percentiles too narrow.

    The percentiles are those that Student's t implies for so many processes: T. Hesterberg, What Teachers Should Know
    About the Bootstrap, The American Statistician 69 (2015).
    """
    df = processes - 1
    percentile = 50 * math.erfc(_student_t(df) * math.sqrt(processes / df / 2))
    low, high = np.percentile(values, (percentile, 100 - percentile))
    return Interval(_rounded(low), _rounded(high))


def _student_t(df: int) -> float:
    """The quantile of Student's t for a two-sided 95% interval, by the Cornish-Fisher expansion."""
    return Z + (Z**3 + Z) / (4 * df) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * df**2)


def _rounded(value: SupportsFloat) -> float:
    return round(float(value), 4)
