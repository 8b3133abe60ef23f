"""Two measurements of the same on the same machine: is the new one slower?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mnistkit.errors import BenchError
from mnistkit.machine import Machine
from mnistkit.paired import Interval
from mnistkit_bench.results import BenchReport, Measurement
from mnistkit_bench.statistics import ratio

Change = Literal["faster", "slower", "no measurable difference"]

# What two runs of the same differ by: a process lies elsewhere in memory each time. Less is not measurable.
REPEATABLE = 0.03
SAME = ("cpu", "cores", "architecture", "bits", "emulated")


@dataclass(frozen=True)
class Compared:
    """One artifact on one runtime, then and now."""

    artifact: str
    runtime: str
    threads: int
    old: float  # p50, microseconds
    new: float
    ratio: float  # new / old
    interval: Interval | None  # of the ratio, 95%
    change: Change


@dataclass(frozen=True)
class BenchComparison:
    """What became faster and slower."""

    fail_over: float  # share by which a row may be slower
    rows: tuple[Compared, ...]
    missing: tuple[str, ...]  # what was measured then and is not now

    @property
    def regressions(self) -> tuple[Compared, ...]:
        """The rows that are slower by more than that, by their whole interval."""
        return tuple(
            row
            for row in self.rows
            if row.change == "slower" and row.interval and row.interval.low > 1 + self.fail_over
        )


def compare(old: BenchReport, new: BenchReport, fail_over: float, *, across_machines: bool = False) -> BenchComparison:
    """Hold the new against the old, row by row.

    Raises BenchError where the machines differ, unless that is wanted, or nothing was measured in both; RecordError
    where raw times are broken.
    """
    if not across_machines and (differing := _differing(old.machine, new.machine)):
        raise BenchError(
            f"the two were measured on different machines: {differing}", "say --across-machines if you mean it"
        )
    before = {_key(row): row for row in old.measurements}
    now = {_key(row): row for row in new.measurements}
    rows = tuple(_compared(before[key], row) for key, row in now.items() if key in before)
    if not rows:
        raise BenchError("the two have no artifact and runtime in common", "compare measurements of the same bundle")
    missing = tuple(" on ".join(map(str, key[:2])) for key in before if key not in now)
    return BenchComparison(fail_over, rows, missing)


def _key(row: Measurement) -> tuple[str, str, int]:
    return row.artifact, row.runtime, row.threads


def _compared(old: Measurement, new: Measurement) -> Compared:
    found, interval = ratio(old.rounds, new.rounds)
    return Compared(
        artifact=new.artifact,
        runtime=new.runtime,
        threads=new.threads,
        old=old.latency.p50,
        new=new.latency.p50,
        ratio=round(found, 4),
        interval=interval,
        change=_change(interval),
    )


def _change(interval: Interval | None) -> Change:
    if interval and interval.low > 1 + REPEATABLE:
        return "slower"
    if interval and interval.high < 1 / (1 + REPEATABLE):
        return "faster"
    return "no measurable difference"


def _differing(old: Machine, new: Machine) -> str:
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in SAME]
    return ", ".join(f"{name} {before} and {now}" for name, before, now in pairs if before != now)
