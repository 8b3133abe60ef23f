"""Two measurements of the same on the same machine: is the new one slower?"""

from __future__ import annotations

from mnistkit.bench_report import BenchComparison, BenchReport, Change, Measurement, MeasurementComparison, named
from mnistkit.core.errors import BenchError
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine
from mnistkit_bench.samples import accepted, unpack
from mnistkit_bench.statistics import ratio

# What two runs of the same differ by: a process lies elsewhere in memory each time. Less is not measurable.
REPEATABILITY = 0.03
MACHINE_FIELDS = ("cpu", "cores", "architecture", "bits", "emulated")


def check(old: BenchReport, machine: Machine, fail_over: float, *, across_machines: bool) -> None:
    """Raise BenchError or RecordError where `old` can't be compared with what this machine will measure."""
    if fail_over < REPEATABILITY:
        raise BenchError(
            f"{100 * fail_over:g}% can't be told from what two runs of the same differ by",
            f"ask for {100 * REPEATABILITY:g}% or more",
        )
    pairs = [(name, getattr(old.machine, name), getattr(machine, name)) for name in MACHINE_FIELDS]
    differing = ", ".join(f"{name} {before} and {now}" for name, before, now in pairs if before != now)
    if differing and not across_machines:
        raise BenchError(f"that was measured on another machine: {differing}", "say --across-machines if you mean it")
    for row in old.measurements:
        unpack(row.raw)


def compare_reports(old: BenchReport, new: BenchReport, fail_over: float) -> BenchComparison:
    """Hold the new against the old, row by row; raises RecordError where raw times are broken."""
    before = {_key(row): row for row in old.measurements}
    now = {_key(row): row for row in new.measurements}
    rows = tuple(_compared(before[key], row) for key, row in now.items() if key in before)
    missing = tuple(named(*key) for key in before if key not in now)
    return BenchComparison(fail_over, old.is_unstable, rows, missing)


def _key(row: Measurement) -> tuple[str, str, int]:
    return row.artifact, row.runtime, row.threads


def _compared(old: Measurement, new: Measurement) -> MeasurementComparison:
    (before, _), (now, _) = accepted(unpack(old.raw)), accepted(unpack(new.raw))
    found, interval = ratio(before, now)
    return MeasurementComparison(
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
    if interval is None:
        return "too few rounds"
    if interval.low > 1 + REPEATABILITY:
        return "slower"
    if interval.high < 1 / (1 + REPEATABILITY):
        return "faster"
    return "no measurable difference"
