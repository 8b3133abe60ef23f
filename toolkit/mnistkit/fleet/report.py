"""The record of a run on boards, and what they differ by. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from mnistkit.bench_report import BenchReport
from mnistkit.core import records
from mnistkit.fleet.playbook import Status
from mnistkit.verify.parity import Verdict
from mnistkit.verify.report import WORST_FIRST, PredictionsComparison, VerifyReport

Action = Literal["deploy", "verify", "bench"]


@dataclass(frozen=True)
class Host:
    """One board."""

    host: str  # its name in the inventory
    status: Status
    problem: str  # why it is not ok; empty where it is
    remedy: str
    seconds: float  # from the start of the run until it was done
    changed: tuple[str, ...]  # the steps that were needed there; none where all was there already
    verify: VerifyReport | None = None
    comparison: PredictionsComparison | None = None  # of its answers with those of this machine
    bench: BenchReport | None = None  # without the raw times


@dataclass(frozen=True)
class Spread:
    """By how much the boards differ in one artifact on one runtime."""

    artifact: str
    runtime: str
    threads: int
    measure: Literal["accuracy", "p50"]  # a share of 1, or microseconds
    hosts: int
    lowest: float
    lowest_host: str
    median: float
    highest: float
    highest_host: str


@dataclass(frozen=True)
class FleetReport(records.Record):
    """What `deploy`, `verify` and `bench` did on boards, and found there."""

    schema: ClassVar[str] = "fleet"
    version: ClassVar[int] = 1

    action: Action
    bundle_sha256: str  # of its manifest, which vouches for the rest
    hosts: tuple[Host, ...]
    spread: tuple[Spread, ...]
    not_compared: str  # why the boards' answers were not held against this machine's; empty where they were
    versions: dict[str, str]  # of what ran here

    @property
    def failed(self) -> tuple[str, ...]:
        """The boards that are not ok."""
        return tuple(host.host for host in self.hosts if host.status != "ok")

    @property
    def verdict(self) -> Verdict:
        """The worst of all boards; FAIL where one has failed, or an artifact could not be measured on one."""
        unmeasured = any(not failure.skipped for host in self.hosts if host.bench for failure in host.bench.failures)
        if self.failed or unmeasured:
            return "FAIL"
        found = {host.verify.verdict for host in self.hosts if host.verify}
        return next((verdict for verdict in WORST_FIRST if verdict in found), "PASS")

    @property
    def is_unstable(self) -> bool:
        """Whether there is any reason not to rely on a measurement."""
        return any(host.bench.is_unstable for host in self.hosts if host.bench)


Figure = tuple[str, str, int, str, float]  # artifact, runtime, threads, host, value


def spread(hosts: Iterable[Host]) -> tuple[Spread, ...]:
    """The spread of whatever two boards or more have measured."""
    hosts = tuple(hosts)
    accuracies, latencies = _spreads("accuracy", _accuracies(hosts)), _spreads("p50", _latencies(hosts))
    return (*accuracies, *latencies)


def _spreads(measure: Literal["accuracy", "p50"], figures: Iterable[Figure]) -> Iterator[Spread]:
    rows: dict[tuple[str, str, int], list[tuple[float, str]]] = {}
    for artifact, runtime, threads, host, value in figures:
        rows.setdefault((artifact, runtime, threads), []).append((value, host))
    for (artifact, runtime, threads), found in rows.items():
        if len(found) > 1:
            (lowest, lowest_host), (highest, highest_host) = min(found), max(found)
            yield Spread(
                artifact=artifact,
                runtime=runtime,
                threads=threads,
                measure=measure,
                hosts=len(found),
                lowest=lowest,
                lowest_host=lowest_host,
                median=statistics.median(value for value, _ in found),
                highest=highest,
                highest_host=highest_host,
            )


def _accuracies(hosts: tuple[Host, ...]) -> Iterator[Figure]:
    for host in hosts:
        for row in host.verify.rows if host.verify else ():
            yield row.artifact, row.runtime, 1, host.host, row.parity.accuracy


def _latencies(hosts: tuple[Host, ...]) -> Iterator[Figure]:
    for host in hosts:
        for row in host.bench.measurements if host.bench else ():
            yield row.artifact, row.runtime, row.threads, host.host, row.latency.p50
