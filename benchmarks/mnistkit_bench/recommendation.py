"""Recommends the artifact and runtime to deploy to a machine: the fastest that passes and is within the limits."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from mnistkit.bench_report import BenchReport, Configuration, Measurement, Throughput
from mnistkit.core import records
from mnistkit.core.errors import BenchError
from mnistkit.core.interval import Interval
from mnistkit.verify.parity import Parity
from mnistkit.verify.report import VerifyReport

Objective = Literal["latency", "throughput"]
M = TypeVar("M", Measurement, Throughput)


@dataclass(frozen=True)
class Limits:
    """The limits that a recommended artifact must keep; None for no limit."""

    max_drop: records.NonNegative | None = None  # accuracy drop, in percentage points
    max_latency: records.NonNegative | None = None  # of one image, in microseconds
    max_size: records.Count | None = None  # of the artifact, in bytes


@dataclass(frozen=True)
class Candidate(Configuration):
    """An artifact on a runtime that was both verified and measured."""

    accuracy: records.Share
    difference: records.Points  # accuracy of the artifact minus accuracy of the original model, in percentage points
    time: records.NonNegative  # microseconds: the idle p50, or the time per image at the best throughput
    interval: Interval | None  # 95% CI of the time
    minimum: records.NonNegative  # that the time is not below if its CI is unknown
    bytes: records.Count
    unstable: bool  # its measurement may be unstable
    pareto: bool  # no passing candidate is at least as good in accuracy, latency and size and better in one of them
    rejection_reason: str  # empty if it is not rejected

    @property
    def lower_bound(self) -> float:
        """What the time is not below: the end of its CI, or the minimum if that is unknown."""
        return self.interval.low if self.interval else self.minimum


@dataclass(frozen=True)
class Recommendation(records.Record, schema="recommendation", version=2):
    """The recommended candidate, and all candidates."""

    machine: str
    objective: Objective
    limits: Limits
    candidates: tuple[Candidate, ...]  # by time, the fastest first
    tied: tuple[records.Count, ...]  # indices of the candidates that are not measurably slower than any other
    unknown: tuple[records.Count, ...]  # indices of those that may be faster, but whose time has no CI
    recommended: records.Count | None  # index of the smallest tied candidate; None if there is none, or any is unknown


def recommend(
    verified: VerifyReport, measured: BenchReport, limits: Limits, objective: Objective = "latency"
) -> Recommendation:
    """Choose among the artifacts and runtimes that both reports have.

    Raises BenchError if the reports are of different bundles, have no artifact and runtime in common, or the objective
    was not measured.
    """
    if verified.bundle_sha256 != measured.bundle_sha256:
        raise BenchError("the two reports are of different bundles", "verify and bench the same bundle")
    rows = list((_by_latency if objective == "latency" else _by_throughput)(measured, verified))
    if not rows and not (measured.measurements if objective == "latency" else measured.throughputs):
        other = "latency" if objective == "throughput" else "throughput"
        command = "mnistkit bench" if objective == "latency" else "mnistkit bench --batch 1,8,32"
        raise BenchError(f"{other} was measured, not {objective}", f"run '{command}', or recommend --for {other}")
    if not rows:
        raise BenchError(
            "no artifact was both verified and measured on the same runtime",
            "pass the same --runtime to verify and bench",
        )
    passing = [candidate for candidate in rows if not candidate.rejection_reason]
    candidates = tuple(_judge(row, passing, limits) for row in sorted(rows, key=lambda candidate: candidate.time))
    eligible = [index for index, candidate in enumerate(candidates) if not candidate.rejection_reason]
    ends = [interval.high for index in eligible if (interval := candidates[index].interval)]
    fast = tuple(i for i in eligible if candidates[i].lower_bound <= min(ends, default=math.inf))
    unknown = tuple(index for index in fast if candidates[index].interval is None)
    tied = tuple(index for index in fast if index not in unknown)
    smallest = min(tied, key=lambda index: (candidates[index].bytes, candidates[index].time), default=None)
    recommended = None if unknown else smallest
    return Recommendation(measured.machine.cpu, objective, limits, candidates, tied, unknown, recommended)


def _by_latency(measured: BenchReport, verified: VerifyReport) -> Iterator[Candidate]:
    for row, parity in _verified(measured.measurements, verified):
        idle, minimum = row.latency.idle, row.latency.observed.minimum
        unstable = bool(measured.unstable or row.unstable)
        yield _candidate(row, parity, idle.p50, idle.p50_interval, minimum, unstable=unstable)


def _by_throughput(measured: BenchReport, verified: VerifyReport) -> Iterator[Candidate]:
    for row, parity in _verified(measured.throughputs, verified):
        rates = row.interval if row.interval and row.interval.low > 0 else None
        interval = Interval(1e6 / rates.high, 1e6 / rates.low) if rates else None
        yield _candidate(row, parity, 1e6 / row.images_per_second, interval, 0.0, unstable=bool(measured.unstable))


def _verified(rows: Iterable[M], verified: VerifyReport) -> Iterator[tuple[M, Parity]]:
    """The rows that were verified too."""
    parities = {(row.artifact, row.runtime): row.parity for row in verified.rows}
    for row in rows:
        if parity := parities.get((row.artifact, row.runtime)):
            yield row, parity


def _candidate(
    row: Measurement | Throughput,
    parity: Parity,
    time: float,
    interval: Interval | None,
    minimum: float,
    *,
    unstable: bool,
) -> Candidate:
    return Candidate(
        artifact=row.artifact,
        runtime=row.runtime,
        threads=row.threads,
        batch=row.batch,
        parallel=row.parallel,
        accuracy=parity.accuracy,
        difference=parity.difference,
        time=time,
        interval=interval,
        minimum=minimum,
        bytes=row.bytes,
        unstable=unstable,
        pareto=False,
        rejection_reason="" if parity.verdict == "PASS" else f"verdict {parity.verdict}",
    )


def _judge(candidate: Candidate, passing: list[Candidate], limits: Limits) -> Candidate:
    """The candidate with its rejection reason and whether it is Pareto-optimal among the passing ones."""
    reason = candidate.rejection_reason or _exceeded_limit(candidate, limits)
    dominated = any(_dominates(other, candidate) for other in passing)
    return replace(candidate, rejection_reason=reason, pareto=not reason and not dominated)


def _exceeded_limit(candidate: Candidate, limits: Limits) -> str:
    """The first limit that the candidate exceeds; empty if it is within all of them."""
    if limits.max_drop is not None and -candidate.difference > limits.max_drop:
        return f"accuracy drop over {limits.max_drop:g} points"
    time = candidate.time if candidate.interval else candidate.minimum
    if limits.max_latency is not None and time > limits.max_latency:
        return f"time over {limits.max_latency:g} µs"
    if limits.max_size is not None and candidate.bytes > limits.max_size:
        return f"size over {limits.max_size:,} bytes"
    return ""


def _dominates(first: Candidate, second: Candidate) -> bool:
    """Whether the first candidate is at least as good in accuracy, latency and size, and better in one of them."""
    costs = (-first.accuracy, first.time, first.bytes)
    other_costs = (-second.accuracy, second.time, second.bytes)
    return costs != other_costs and all(a <= b for a, b in zip(costs, other_costs, strict=True))
