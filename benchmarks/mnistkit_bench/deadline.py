"""The share of inferences that miss a deadline."""

import math

import numpy as np

from mnistkit.bench_report import Deadline
from mnistkit.core.interval import Interval, Z
from mnistkit.core.verdict import Verdict
from mnistkit_bench.samples import SamplesByProcess, pool


def judge_deadline(processes: SamplesByProcess, milliseconds: float, max_miss: float) -> Deadline:
    """Compare the share of all samples that took longer than the deadline with the limit `max_miss`."""
    samples = pool(processes)
    missed = int(np.count_nonzero(samples > 1e6 * milliseconds))
    interval = wilson_interval(missed, len(samples))
    return Deadline(milliseconds, max_miss, missed, missed / len(samples), interval, _verdict(interval, max_miss))


def _verdict(interval: Interval, max_miss: float) -> Verdict:
    if interval.high <= max_miss:
        return "PASS"
    return "FAIL" if interval.low > max_miss else "INCONCLUSIVE"


def wilson_interval(count: int, total: int) -> Interval:
    """The 95% score interval of a binomial share (E. B. Wilson, Journal of the American Statistical Association 22)."""
    share, z2 = count / total, Z * Z / total
    center = (share + z2 / 2) / (1 + z2)
    margin = math.sqrt(z2 * share * (1 - share) + z2 * z2 / 4) / (1 + z2)
    return Interval(max(0.0, center - margin) if count else 0.0, min(1.0, center + margin) if count < total else 1.0)
