"""The report of a run on boards, and the differences between boards. Pure."""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from mnistkit.bench_report import BenchReport
from mnistkit.core import records
from mnistkit.core.verdict import Verdict, worst_verdict
from mnistkit.fleet.playbook import Status
from mnistkit.verify.report import Family, PredictionsComparison, VerifyReport, apply_holm, family_of, with_rows

Action = Literal["deploy", "verify", "bench"]
Metric = Literal["accuracy", "p50"]


@dataclass(frozen=True)
class Host:
    """The result of one board."""

    host: str  # its name in the inventory
    status: Status
    problem: str  # empty if the status is ok
    remedy: str
    seconds: records.NonNegative  # from the start of the run until the board was finished
    changed: tuple[str, ...]  # tasks that changed something on the board
    verify: VerifyReport | None = None
    comparison: PredictionsComparison | None = None  # of the board's predictions with this machine's
    bench: BenchReport | None = None  # without raw samples


@dataclass(frozen=True)
class Spread:
    """The range of a metric over the boards, for one artifact on one runtime."""

    artifact: str
    runtime: str
    threads: records.Count
    metric: Metric  # accuracy as a share of 1, or idle p50 in microseconds
    hosts: records.Count
    lowest: records.NonNegative
    lowest_host: str
    median: records.NonNegative
    highest: records.NonNegative
    highest_host: str


@dataclass(frozen=True)
class FleetReport(records.Record, schema="fleet", version=2):
    """The result of `mnistkit fleet deploy`, `verify` or `bench`."""

    action: Action
    bundle_sha256: str  # of the manifest, which has the SHA-256 of every other file
    hosts: tuple[Host, ...]
    spread: tuple[Spread, ...]
    family: Family | None  # the tests of all boards; None if nothing was verified
    not_compared: str  # why the boards' predictions were not compared with this machine's; empty if they were
    versions: dict[str, str]  # of Python and packages on this machine

    @property
    def failed(self) -> tuple[str, ...]:
        """The boards whose status is not ok."""
        return tuple(host.host for host in self.hosts if host.status != "ok")

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all boards; FAIL if a board failed or could not measure an artifact."""
        unmeasured = any(not failure.skipped for host in self.hosts if host.bench for failure in host.bench.failures)
        if self.failed or unmeasured:
            return "FAIL"
        return worst_verdict(host.verify.verdict for host in self.hosts if host.verify)

    @property
    def is_unstable(self) -> bool:
        """Whether any measurement may be unstable."""
        return any(host.bench.is_unstable for host in self.hosts if host.bench)


Key = tuple[str, str, int]  # artifact, runtime, threads
Value = tuple[float, str]  # value, host


def with_holm(hosts: list[Host], margin: float) -> list[Host]:
    """The boards with verdicts by Holm's method, over the artifacts of all boards together."""
    rows = tuple(row for host in hosts if host.verify for row in host.verify.rows)
    adjusted = iter(apply_holm(rows, margin))
    return [
        replace(host, verify=with_rows(host.verify, tuple(islice(adjusted, len(host.verify.rows)))))
        if host.verify
        else host
        for host in hosts
    ]


def family(hosts: Iterable[Host], *, holm: bool) -> Family | None:
    """The tests of all boards; None if there are none."""
    tests = sum(len(host.verify.rows) for host in hosts if host.verify)
    return family_of(tests, holm=holm) if tests else None


def spread(hosts: Iterable[Host]) -> tuple[Spread, ...]:
    """The spread of each metric that at least two boards have measured."""
    hosts = tuple(hosts)
    return (*_spreads("accuracy", _accuracies(hosts)), *_spreads("p50", _latencies(hosts)))


def _spreads(metric: Metric, values: Iterable[tuple[Key, Value]]) -> Iterator[Spread]:
    by_key: dict[Key, list[Value]] = {}
    for key, value in values:
        by_key.setdefault(key, []).append(value)
    for (artifact, runtime, threads), group in by_key.items():
        if len(group) > 1:
            (lowest, lowest_host), (highest, highest_host) = min(group), max(group)
            yield Spread(
                artifact=artifact,
                runtime=runtime,
                threads=threads,
                metric=metric,
                hosts=len(group),
                lowest=lowest,
                lowest_host=lowest_host,
                median=statistics.median(value for value, _ in group),
                highest=highest,
                highest_host=highest_host,
            )


def _accuracies(hosts: Iterable[Host]) -> Iterator[tuple[Key, Value]]:
    for host in hosts:
        for row in host.verify.rows if host.verify else ():
            yield (row.artifact, row.runtime, 1), (row.parity.accuracy, host.host)


def _latencies(hosts: Iterable[Host]) -> Iterator[tuple[Key, Value]]:
    for host in hosts:
        for row in host.bench.measurements if host.bench else ():
            yield (row.artifact, row.runtime, row.threads), (row.latency.idle.p50, host.host)
