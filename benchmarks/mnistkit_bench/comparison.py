"""Compares a report with the baseline, an earlier report from the same machine."""

from mnistkit.bench_report import BenchComparison, BenchReport, Change, Measurement, MeasurementComparison
from mnistkit.core.errors import BenchError
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine
from mnistkit_bench.samples import all_samples, idle_samples, unpack
from mnistkit_bench.statistics import percentile_ratio

# The fraction by which two runs of one artifact differ, because their processes have different memory layouts.
REPEATABILITY = 0.03
MACHINE_FIELDS = ("cpu", "cores", "architecture", "bits", "emulated")


def check_baseline(baseline: BenchReport, machine: Machine, fail_over: float, *, across_machines: bool) -> None:
    """Check that the baseline can be compared with measurements on `machine`.

    Raises BenchError if `fail_over` is too small or the baseline is from another machine and `across_machines` is not
    set; RecordError if the raw samples are corrupt.
    """
    if fail_over < REPEATABILITY:
        raise BenchError(
            f"a slowdown of {100 * fail_over:g}% is not measurable: two runs differ by up to {100 * REPEATABILITY:g}%",
            f"pass --fail-over {100 * REPEATABILITY:g}% or more",
        )
    values = [(field, getattr(baseline.machine, field), getattr(machine, field)) for field in MACHINE_FIELDS]
    differences = ", ".join(f"{field} {theirs} instead of {ours}" for field, theirs, ours in values if theirs != ours)
    if differences and not across_machines:
        raise BenchError(
            f"the baseline is from another machine: {differences}", "pass --across-machines to compare nevertheless"
        )
    for measurement in baseline.measurements:
        unpack(measurement.raw)


def compare_reports(baseline: BenchReport, current: BenchReport, fail_over: float) -> BenchComparison:
    """Compare the measurements that both reports have; raises RecordError if raw samples are corrupt."""
    baselines = {measurement.name: measurement for measurement in baseline.measurements}
    currents = {measurement.name: measurement for measurement in current.measurements}
    return BenchComparison(
        fail_over=fail_over,
        baseline_unstable=baseline.is_unstable,
        measurements=tuple(_compare(baselines[name], currents[name]) for name in currents if name in baselines),
        missing=tuple(name for name in baselines if name not in currents),
    )


def _compare(baseline: Measurement, current: Measurement) -> MeasurementComparison:
    rounds = unpack(baseline.raw), unpack(current.raw)
    idle = [idle_samples(processes) for processes in rounds]
    # Without idle samples the ratio may be that of other load, so it has no interval.
    first, second = idle if all(idle) else map(all_samples, rounds)
    ratio, interval = percentile_ratio(first, second)
    interval = interval if all(idle) else None
    return MeasurementComparison(
        artifact=current.artifact,
        runtime=current.runtime,
        threads=current.threads,
        batch=current.batch,
        parallel=current.parallel,
        baseline_p50=baseline.latency.idle.p50,
        current_p50=current.latency.idle.p50,
        ratio=round(ratio, 4),
        interval=interval,
        change=_change(interval),
    )


def _change(interval: Interval | None) -> Change:
    if interval is None:
        return "cannot tell"
    if interval.low > 1 + REPEATABILITY:
        return "slower"
    if interval.high < 1 / (1 + REPEATABILITY):
        return "faster"
    return "no measurable difference"
