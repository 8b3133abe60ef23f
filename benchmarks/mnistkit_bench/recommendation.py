"""Which artifact and runtime to ship to a machine: the fastest of those that pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from mnistkit.bench_report import BenchReport, named
from mnistkit.core import records
from mnistkit.core.errors import BenchError
from mnistkit.core.interval import Interval
from mnistkit.verify.report import VerifyReport


@dataclass(frozen=True)
class Limits:
    """What is asked for; None: nothing."""

    max_drop: float | None = None  # percentage points that the accuracy may be lower
    max_latency: float | None = None  # microseconds, p50
    max_size: int | None = None  # bytes of the artifact


@dataclass(frozen=True)
class Candidate:
    """An artifact and runtime that could be shipped."""

    artifact: str
    runtime: str
    threads: int
    accuracy: float
    difference: float  # of the accuracies, artifact − original, in percentage points
    p50: float  # microseconds
    p50_interval: Interval | None
    bytes: int
    unstable: bool  # something has spoilt its measurement
    pareto: bool  # nothing else is better in one of accuracy, latency and size, and as good in the others
    ruled_out: str  # why it can't be shipped; empty where it can

    @property
    def interval(self) -> Interval:
        """Where its p50 may lie: anywhere, where nothing tells."""
        return self.p50_interval or Interval(0.0, math.inf)

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return named(self.artifact, self.runtime, self.threads)


@dataclass(frozen=True)
class Recommendation(records.Record):
    """What to ship, and what it was chosen from."""

    schema: ClassVar[str] = "recommendation"
    version: ClassVar[int] = 1

    machine: str
    limits: Limits
    candidates: tuple[Candidate, ...]  # the fastest first
    tied: tuple[int, ...]  # of them those that can't be told from the fastest
    chosen: int | None  # the smallest of the tied; None: there is none to ship


def recommend(verified: VerifyReport, measured: BenchReport, limits: Limits) -> Recommendation:
    """Choose among the rows that both records have; raises BenchError where they are not of one bundle."""
    if verified.bundle_sha256 != measured.bundle_sha256:
        raise BenchError("the two records are of different bundles", "verify and bench the same bundle")
    parities = {(row.artifact, row.runtime): row.parity for row in verified.rows}
    found = [
        Candidate(
            artifact=row.artifact,
            runtime=row.runtime,
            threads=row.threads,
            accuracy=parity.accuracy,
            difference=parity.difference,
            p50=row.latency.p50,
            p50_interval=row.latency.p50_interval,
            bytes=row.bytes,
            unstable=bool(measured.unstable or row.unstable),
            pareto=False,
            ruled_out="" if parity.verdict == "PASS" else f"verify says {parity.verdict}",
        )
        for row in measured.measurements
        if (parity := parities.get((row.artifact, row.runtime)))
    ]
    if not found:
        raise BenchError("no artifact was both verified and measured on one runtime", "name the same --runtime to both")
    candidates = [_judged(candidate, found, limits) for candidate in sorted(found, key=lambda each: each.p50)]
    fit = [place for place, candidate in enumerate(candidates) if not candidate.ruled_out]
    tied = tuple(place for place in fit if candidates[place].interval.low <= candidates[fit[0]].interval.high)
    chosen = min(tied, key=lambda place: (candidates[place].bytes, candidates[place].p50), default=None)
    return Recommendation(measured.machine.cpu, limits, tuple(candidates), tied, chosen)


def _judged(candidate: Candidate, all: list[Candidate], limits: Limits) -> Candidate:
    passing = [other for other in all if not other.ruled_out]
    ruled_out = candidate.ruled_out or _beyond(candidate, limits)
    beaten = any(_beats(other, candidate) for other in passing)
    return replace(candidate, ruled_out=ruled_out, pareto=not candidate.ruled_out and not beaten)


def _beyond(candidate: Candidate, limits: Limits) -> str:
    """Which limit it is beyond."""
    if limits.max_drop is not None and -candidate.difference > limits.max_drop:
        return f"loses more than {limits.max_drop:g} points"
    if limits.max_latency is not None and candidate.p50 > limits.max_latency:
        return f"takes more than {limits.max_latency:g} µs"
    if limits.max_size is not None and candidate.bytes > limits.max_size:
        return f"is larger than {limits.max_size:,} bytes"
    return ""


def _beats(one: Candidate, other: Candidate) -> bool:
    """Whether it is as good in all and better in something."""
    first, second = ((-each.accuracy, each.p50, each.bytes) for each in (one, other))
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))
