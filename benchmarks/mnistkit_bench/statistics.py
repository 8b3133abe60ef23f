"""What a row of raw times comes to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Of one inference at batch 1, in microseconds."""

    samples: int
    p50: float
    p90: float
    p99: float
    mean: float
    minimum: float


def summarise(nanoseconds: Collection[int]) -> Latency:
    """The figures of these times; percentiles by linear interpolation (Hyndman and Fan's type 7)."""
    import numpy as np

    times = np.fromiter(nanoseconds, np.float64, len(nanoseconds)) / 1000
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    return Latency(
        samples=len(times),
        p50=round(float(p50), 3),
        p90=round(float(p90), 3),
        p99=round(float(p99), 3),
        mean=round(float(times.mean()), 3),
        minimum=round(float(times.min()), 3),
    )
