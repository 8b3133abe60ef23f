"""Tables and messages of `bench` and `recommend`."""

from rich.table import Table
from rich.text import Text

from mnistkit.bench_report import BenchComparison, BenchReport, Latency, Measurement, MeasurementComparison
from mnistkit.cli.tables import UNSTABLE, kilobytes, microseconds, percent, points, table
from mnistkit.cli.tables.remarks import failure_line, names_by_reason, unstable_line
from mnistkit_bench.recommendation import Candidate, Recommendation
from mnistkit_bench.statistics import min_samples

MIN_UNREPORTED_FRACTION = 0.95  # a smaller fraction of accepted samples is reported
_STYLES = {"faster": "green", "slower": "bold red", "too few rounds": "yellow", "no measurable difference": ""}


def report_output(report: BenchReport) -> list[Table | str]:
    """The tables and remarks of a report, with those of its comparison if it has one."""
    output: list[Table | str] = [bench_table(report), *bench_remarks(report)]
    if report.comparison:
        output += [comparison_table(report.comparison), *comparison_remarks(report.comparison)]
    return output


def bench_table(report: BenchReport) -> Table:
    """One row for each measurement; at most 90 columns wide."""
    machine = report.machine
    several_threads = {row.threads for row in report.measurements} != {1}
    samples = min((row.latency.samples for row in report.measurements), default=0)
    grid = table(
        f"Latency on {machine.cpu}, {machine.architecture}{', a virtual machine' if machine.virtual else ''}",
        ("artifact", "runtime"),
        (
            *(["threads"] if several_threads else []),
            "p50 µs",
            "±",
            "p90",
            "p99",
            "end-to-\nend",
            "cold\nstart",
            "peak\nRSS",
        ),
        "p50, p90, p99: µs of the runtime's invoke call alone; ±: half the 95% CI of the p50\n"
        f"batch size 1{'' if several_threads else ', one thread'}, at least {samples:,} samples\n"
        "end-to-end: µs from raw pixels to a label; peak RSS: MB\n"
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


def _cells(row: Measurement, *, unstable: bool) -> list[str]:
    return [
        microseconds(row.latency.p50) + (UNSTABLE if unstable else ""),
        _half_width(row.latency),
        _percentile(row.latency.p90),
        _percentile(row.latency.p99),
        microseconds(row.end_to_end.p50),
        f"{row.import_ms + row.load_ms + row.first_inference_ms:.0f}",
        f"{row.peak_rss_bytes / 1e6:.0f}",
    ]


def _half_width(latency: Latency) -> str:
    """Half the 95% CI of the p50, in percent of the p50."""
    interval = latency.p50_interval
    return f"{50 * (interval.high - interval.low) / latency.p50:.1f}%" if interval else ""


def _percentile(value: float | None) -> str:
    return "–" if value is None else microseconds(value)


def bench_remarks(report: BenchReport) -> list[str]:
    """Why measurements may be unstable, what was not measured, the accepted samples, and missing percentiles."""
    lines = [*_warnings(report), *map(failure_line, report.failures)]
    fractions = [row.accepted_fraction for row in report.measurements if row.accepted_fraction]  # 0: none is excluded
    if fractions and min(fractions) < MIN_UNREPORTED_FRACTION:
        kept = " to ".join(dict.fromkeys(f"{fraction:.0%}" for fraction in (min(fractions), max(fractions))))
        lines.append(f"samples taken while the interference probe ran slow are excluded; {kept} kept")
    for name, percentile in (("p90", 90.0), ("p99", 99.0)):
        if any(getattr(row.latency, name) is None for row in report.measurements):
            lines.append(f"–: {name} needs {min_samples(percentile):,} samples; raise --seconds")
    return lines


def _warnings(report: BenchReport) -> list[str]:
    reasons = list(report.unstable)
    pairs = ((row.name, reason) for row in report.measurements for reason in row.unstable)
    for reason, names in names_by_reason(pairs).items():
        all_measurements = 1 < len(names) == len(report.measurements)
        reasons.append(f"{'all measurements' if all_measurements else ', '.join(names)}: {reason}")
    return list(map(unstable_line, reasons))


def comparison_table(comparison: BenchComparison) -> Table:
    """One row for each measurement that the baseline also has."""
    grid = table(
        "Comparison with the baseline",
        ("artifact", "runtime"),
        ("threads", "baseline µs", "current µs", "ratio", "95% CI", "change"),
        "ratio: current p50 / baseline p50\n"
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
    grid = table(
        f"Candidates for {recommendation.machine}",
        ("artifact", "runtime"),
        ("threads", "p50 µs", "accuracy", "difference", "kB", "Pareto", "result"),
        "difference: in percentage points\n"
        "Pareto: no passing candidate is as good in accuracy, latency and size and better in one",
    )
    for index, candidate in enumerate(recommendation.candidates):
        grid.add_row(
            candidate.artifact,
            candidate.runtime,
            str(candidate.threads),
            microseconds(candidate.p50),
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
    if index in recommendation.tied:
        return Text("as fast, not smaller", "yellow")
    return Text(candidate.rejection_reason)


def recommendation_line(recommendation: Recommendation) -> str:
    """The recommended artifact and runtime, and the reason."""
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
