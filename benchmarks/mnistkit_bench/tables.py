"""Tables and messages of `bench` and `recommend`."""

from typing import Protocol

from rich.table import Table
from rich.text import Text

from mnistkit.bench_report import (
    BenchComparison,
    BenchReport,
    IdleLatency,
    Measurement,
    MeasurementComparison,
    PinnedCpu,
)
from mnistkit.cli.tables import UNSTABLE, kilobytes, microseconds, percent, points, table, verdict_text
from mnistkit.cli.tables.remarks import failure_line, names_by_reason, unstable_line
from mnistkit.device.machine import Machine
from mnistkit_bench.recommendation import Candidate, Recommendation
from mnistkit_bench.statistics import min_samples

MIN_UNREPORTED_SHARE = 0.95  # a smaller share of idle samples is reported
_STYLES = {"faster": "green", "slower": "bold red", "cannot tell": "yellow", "no measurable difference": ""}


def report_output(report: BenchReport) -> list[Table | str]:
    """The tables and remarks of a report, with those of its comparison if it has one."""
    output: list[Table | str] = [throughput_table(report) if report.throughputs else bench_table(report)]
    if any(row.deadline for row in report.measurements):
        output.append(deadline_table(report))
    output += bench_remarks(report)
    if report.comparison:
        output += [comparison_table(report.comparison), *comparison_remarks(report.comparison)]
    return output


def bench_table(report: BenchReport) -> Table:
    """One row for each measurement; at most 90 columns wide."""
    several_threads = {row.threads for row in report.measurements} != {1}
    samples = min((row.latency.observed.samples for row in report.measurements), default=0)
    grid = table(
        title("Latency", report),
        ("artifact", "runtime"),
        (
            *(["threads"] if several_threads else []),
            "idle\np50 µs",
            "±",
            "observed\np99 µs",
            "end-to-\nend",
            "cold\nstart",
            "peak\nRSS",
        ),
        "idle p50: of one inference when nothing interferes; ±: half of its 95% CI\n"
        "observed p99: of all inferences, also of those that other load slowed or interrupted\n"
        f"batch size 1{'' if several_threads else ', one thread'}, at least {samples:,} samples\n"
        "end-to-end: idle p50 in µs from raw pixels to a label; peak RSS: MB\n"
        "cold start: ms for import, load and the first inference",
    )
    if several_threads:
        grid.padding = (0, 0)  # makes room for the column
    for column in grid.columns:
        column.vertical = "bottom"
    for row in report.measurements:
        threads = [str(row.threads)] if several_threads else []
        grid.add_row(row.artifact, row.runtime, *threads, *_cells(row, unstable=bool(row.unstable or report.unstable)))
    return grid


class Measured(Protocol):
    """A report of measurements on a machine."""

    @property
    def machine(self) -> Machine:
        """The machine."""

    @property
    def pinned(self) -> PinnedCpu | None:
        """The core that all workers ran on; None if the kernel chose."""


def title(quantity: str, report: Measured) -> str:
    """The title of a table of measurements."""
    machine = report.machine
    pinned = f", on core {report.pinned.number}" if report.pinned else ""
    return (
        f"{quantity} on {machine.cpu}, {machine.architecture}{', a virtual machine' if machine.virtual else ''}{pinned}"
    )


def _cells(row: Measurement, *, unstable: bool) -> list[str]:
    p99 = row.latency.observed.p99
    return [
        microseconds(row.latency.idle.p50) + (UNSTABLE if unstable else ""),
        _half_width(row.latency.idle),
        microseconds(p99.value) if p99 else "–",
        microseconds(row.end_to_end.idle.p50),
        f"{row.import_ms + row.load_ms + row.first_inference_ms:.0f}",
        f"{row.peak_rss_bytes / 1e6:.0f}",
    ]


def _half_width(latency: IdleLatency) -> str:
    """Half the 95% CI of the p50, in percent of the p50."""
    interval = latency.p50_interval
    return f"{100 * interval.half_width / latency.p50:.1f}%" if interval else "unknown"


def bench_remarks(report: BenchReport) -> list[str]:
    """Why measurements may be unstable, what was not measured, the share of idle samples, and missing percentiles."""
    lines = [*_warnings(report), *map(failure_line, report.failures)]
    shares = [row.latency.idle.share for row in report.measurements]
    if shares and min(shares) < MIN_UNREPORTED_SHARE:
        kept = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares), max(shares))))
        lines.append(f"idle p50 is of the samples that no other load slowed or interrupted: {kept}")
    if any(row.latency.observed.p99 is None for row in report.measurements):
        lines.append(f"–: p99 needs {min_samples(99):,} samples; raise --seconds")
    lines += [f"{name} skips blank parts of images: its latency depends on the image" for name in report.skip_blank]
    if report.pinned:
        name = f"core {report.pinned.number}"
        lines.append(
            f"{name} is isolated" if report.pinned.isolated else f"{name} is not isolated: others may run there"
        )
    return lines


def _warnings(report: BenchReport) -> list[str]:
    reasons = list(report.unstable)
    pairs = ((row.name, reason) for row in report.measurements for reason in row.unstable)
    for reason, names in names_by_reason(pairs).items():
        all_measurements = 1 < len(names) == len(report.measurements)
        reasons.append(f"{'all measurements' if all_measurements else ', '.join(names)}: {reason}")
    return list(map(unstable_line, reasons))


def throughput_table(report: BenchReport) -> Table:
    """One row for each setting of each artifact and runtime."""
    grid = table(
        title("Throughput", report),
        ("artifact", "runtime"),
        ("batch", "threads", "sessions", "images/s", "±", "best"),
        "images/s: classified in a second, from raw pixels to labels; median of all rounds\n"
        "±: half of its 95% CI; sessions: side by side; best: setting of the artifact and runtime",
    )
    for row in report.throughputs:
        half = 100 * row.interval.half_width / row.images_per_second if row.interval else None
        grid.add_row(
            row.artifact,
            row.runtime,
            str(row.batch),
            str(row.threads),
            str(row.parallel),
            f"{row.images_per_second:,.0f}{UNSTABLE if report.unstable else ''}",
            "unknown" if half is None else f"{half:.1f}%",
            Text("best", "bold green") if row.best else "",
        )
    return grid


def deadline_table(report: BenchReport) -> Table:
    """One row for each measurement, with the share of inferences that missed the deadline."""
    rows = [(row, row.deadline) for row in report.measurements if row.deadline]
    grid = table(
        f"Deadline of {rows[0][1].milliseconds:g} ms",
        ("artifact", "runtime"),
        ("threads", "missed", "inferences", "share", "95% CI", "verdict"),
        f"of all inferences; FAIL: the 95% CI of the share lies above {rows[0][1].max_miss:.2%}",
    )
    for row, deadline in rows:
        interval = f"{deadline.interval.low:.3%} to {deadline.interval.high:.3%}"
        counts = f"{deadline.missed:,}", f"{row.latency.observed.samples:,}", f"{deadline.share:.3%}"
        grid.add_row(row.artifact, row.runtime, str(row.threads), *counts, interval, verdict_text(deadline.verdict))
    return grid


def comparison_table(comparison: BenchComparison) -> Table:
    """One row for each measurement that the baseline also has."""
    grid = table(
        "Comparison with the baseline",
        ("artifact", "runtime"),
        ("threads", "baseline µs", "current µs", "ratio", "95% CI", "change"),
        "ratio: current / baseline, of the idle p50\n"
        f"regression: the 95% CI of the ratio lies above {1 + comparison.fail_over:g}",
    )
    for row in comparison.measurements:
        latencies = microseconds(row.baseline_p50), microseconds(row.current_p50)
        change = Text(row.change, _STYLES[row.change])
        grid.add_row(
            row.artifact, row.runtime, str(row.threads), *latencies, f"{row.ratio:.3f}", _ratio_interval(row), change
        )
    return grid


def _ratio_interval(row: MeasurementComparison) -> str:
    return f"{row.interval.low:.3f} to {row.interval.high:.3f}" if row.interval else "–"


def comparison_remarks(comparison: BenchComparison) -> list[str]:
    """What could not be compared, and whether the baseline may be unstable."""
    lines = []
    if comparison.missing:
        lines.append(f"measured only in the baseline: {', '.join(comparison.missing)}")
    if not comparison.measurements:
        lines.append("no measurement to compare: the baseline has none of these artifacts and runtimes")
    if comparison.baseline_unstable:
        lines.append("WARNING: the baseline may be unstable; measure it again on an idle machine")
    return lines


def recommendation_table(recommendation: Recommendation) -> Table:
    """One row for each candidate, the fastest first."""
    by_throughput = recommendation.objective == "throughput"
    settings = ("batch", "threads", "sessions", "images/s") if by_throughput else ("threads", "idle\np50 µs")
    speed = "throughput" if by_throughput else "latency"
    grid = table(
        f"Candidates for {recommendation.machine}",
        ("artifact", "runtime"),
        (*settings, "accuracy", "difference", "kB", "Pareto", "result"),
        "difference: in percentage points\n"
        f"Pareto: no passing candidate is as good in accuracy, {speed} and size and better in one",
    )
    for index, candidate in enumerate(recommendation.candidates):
        threads, sessions = str(candidate.threads), str(candidate.parallel)
        rate = f"{1e6 / candidate.time:,.0f}"
        grid.add_row(
            candidate.artifact,
            candidate.runtime,
            *(
                (str(candidate.batch), threads, sessions, rate)
                if by_throughput
                else (threads, microseconds(candidate.time))
            ),
            percent(candidate.accuracy),
            points(candidate.difference),
            kilobytes(candidate.bytes),
            "yes" if candidate.pareto else "",
            _result(recommendation, index, candidate),
        )
    return grid


def _result(recommendation: Recommendation, index: int, candidate: Candidate) -> Text:
    if index == recommendation.recommended:
        return Text("recommended", "bold green")
    if index in recommendation.unknown:
        return Text("unknown", "yellow")
    if index in recommendation.tied and recommendation.recommended is None:
        return Text("perhaps the fastest", "yellow")
    if index in recommendation.tied:
        return Text("as fast, not smaller", "yellow")
    return Text(candidate.rejection_reason)


def recommendation_line(recommendation: Recommendation) -> str:
    """The recommended artifact and runtime, and the reason."""
    if recommendation.unknown:
        names = "; ".join(recommendation.candidates[index].name for index in recommendation.unknown)
        return f"cannot tell which is the fastest: too few idle samples of {names}; measure again on an idle machine"
    if recommendation.recommended is None:
        return "no recommendation: no artifact passes and is within the limits"
    recommended = recommendation.candidates[recommendation.recommended]
    tied = [recommendation.candidates[index] for index in recommendation.tied if index != recommendation.recommended]
    reason = "the fastest that passes"
    if tied:
        names = "; ".join(candidate.name for candidate in tied)
        reason = f"the smallest of those that are not measurably slower than the fastest (tied with {names})"
    warning = "; WARNING: the measurement may be unstable" if recommended.unstable else ""
    return f"recommended: {recommended.name}: {reason}{warning}"
