"""Recommends the artifact and runtime to deploy to a machine: the fastest that passes and is within the limits."""

import math
from dataclasses import dataclass, replace

from mnistkit.bench_report import BenchReport, Configuration
from mnistkit.core import records
from mnistkit.core.errors import BenchError
from mnistkit.core.interval import Interval
from mnistkit.verify.report import VerifyReport


@dataclass(frozen=True)
class Limits:
    """The limits that a recommended artifact must keep; None for no limit."""

    max_drop: records.NonNegative | None = None  # accuracy drop, in percentage points
    max_latency: records.NonNegative | None = None  # p50, in microseconds
    max_size: records.Count | None = None  # of the artifact, in bytes


@dataclass(frozen=True)
class Candidate(Configuration):
    """An artifact on a runtime that was both verified and measured."""

    accuracy: records.Share
    difference: records.Points  # accuracy of the artifact minus accuracy of the original model, in percentage points
    p50: records.NonNegative  # microseconds
    p50_interval: Interval | None
    bytes: records.Count
    unstable: bool  # its measurement may be unstable
    pareto: bool  # no passing candidate is at least as good in accuracy, latency and size and better in one of them
    rejection_reason: str  # empty if it is not rejected

    @property
    def interval(self) -> Interval:
        """The 95% CI of the p50; unbounded if unknown."""
        return self.p50_interval or Interval(0.0, math.inf)


@dataclass(frozen=True)
class Recommendation(records.Record, schema="recommendation", version=1):
    """The recommended candidate, and all candidates."""

    machine: str
    limits: Limits
    candidates: tuple[Candidate, ...]  # by p50, the fastest first
    tied: tuple[records.Count, ...]  # indices of the candidates that are not measurably slower than the fastest
    recommended: records.Count | None  # index of the smallest tied candidate; None if all candidates are rejected


def recommend(verified: VerifyReport, measured: BenchReport, limits: Limits) -> Recommendation:
    """Choose among the artifacts and runtimes that both reports have.

    Raises BenchError if the reports are of different bundles or have no artifact and runtime in common.
    """
    if verified.bundle_sha256 != measured.bundle_sha256:
        raise BenchError("the two reports are of different bundles", "verify and bench the same bundle")
    parities = {(row.artifact, row.runtime): row.parity for row in verified.rows}
    unranked = [
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
            rejection_reason="" if parity.verdict == "PASS" else f"verdict {parity.verdict}",
        )
        for row in measured.measurements
        if (parity := parities.get((row.artifact, row.runtime)))
    ]
    if not unranked:
        raise BenchError(
            "no artifact was both verified and measured on the same runtime",
            "pass the same --runtime to verify and bench",
        )
    passing = [candidate for candidate in unranked if not candidate.rejection_reason]
    unranked.sort(key=lambda candidate: candidate.p50)
    candidates = tuple(_judge(candidate, passing, limits) for candidate in unranked)
    eligible = [index for index, candidate in enumerate(candidates) if not candidate.rejection_reason]
    tied = tuple(i for i in eligible if candidates[i].interval.low <= candidates[eligible[0]].interval.high)
    recommended = min(tied, key=lambda index: (candidates[index].bytes, candidates[index].p50), default=None)
    return Recommendation(measured.machine.cpu, limits, candidates, tied, recommended)


def _judge(candidate: Candidate, passing: list[Candidate], limits: Limits) -> Candidate:
    """The candidate with its rejection reason and whether it is Pareto-optimal among the passing ones."""
    reason = candidate.rejection_reason or _exceeded_limit(candidate, limits)
    dominated = any(_dominates(other, candidate) for other in passing)
    return replace(candidate, rejection_reason=reason, pareto=not reason and not dominated)


def _exceeded_limit(candidate: Candidate, limits: Limits) -> str:
    """The first limit that the candidate exceeds; empty if it is within all of them."""
    if limits.max_drop is not None and -candidate.difference > limits.max_drop:
        return f"accuracy drop over {limits.max_drop:g} points"
    if limits.max_latency is not None and candidate.p50 > limits.max_latency:
        return f"p50 over {limits.max_latency:g} µs"
    if limits.max_size is not None and candidate.bytes > limits.max_size:
        return f"size over {limits.max_size:,} bytes"
    return ""


def _dominates(first: Candidate, second: Candidate) -> bool:
    """Whether the first candidate is at least as good in accuracy, latency and size, and better in one of them."""
    costs = (-first.accuracy, first.p50, first.bytes)
    other_costs = (-second.accuracy, second.p50, second.bytes)
    return costs != other_costs and all(a <= b for a, b in zip(costs, other_costs, strict=True))
