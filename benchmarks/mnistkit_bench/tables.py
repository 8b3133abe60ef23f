"""What `bench` and `recommend` found, as people read it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mnistkit.cli.tables import UNSTABLE, failure_line, kilobytes, microseconds, percent, points, table

if TYPE_CHECKING:
    from mnistkit.bench_report import (
        BenchComparison,
        BenchReport,
        Latency,
        Measurement,
        MeasurementComparison,
    )
    from mnistkit_bench.recommendation import Candidate, Recommendation

MENTIONED = 0.95  # a smaller share of undisturbed times is
_STYLES = {"faster": "green", "slower": "bold red", "too few rounds": "yellow", "no measurable difference": ""}


def bench_table(report: BenchReport) -> Table:
    """One line a measurement."""
    machine = report.machine
    sweep = {row.threads for row in report.measurements} != {1}
    fewest = min((row.latency.samples for row in report.measurements), default=0)
    grid = table(
        f"Latency on {machine.cpu}, {machine.architecture}{', a virtual machine' if machine.virtual else ''}",
        ("artifact", "runtime", *(["threads"] if sweep else [])),
        ("p50 µs", "±", "p90", "p99", "whole", "start", "MB"),
        f"of the runtime's call alone, batch 1{'' if sweep else ', one thread'}, {fewest:,} samples or more\n"
        "whole: µs from raw bytes to a label; start: ms of import, load and first inference",
    )
    for row in report.measurements:
        names = row.artifact, row.runtime, *([str(row.threads)] if sweep else [])
        grid.add_row(*names, *_figures(row, unstable=bool(row.unstable or report.unstable)))
    return grid


def _figures(row: Measurement, *, unstable: bool) -> list[str]:
    latency = row.latency
    start = row.import_ms + row.load_ms + row.first_ms
    return [
        microseconds(latency.p50) + (UNSTABLE if unstable else ""),
        _half_width(latency),
        _percentile(latency.p90),
        _percentile(latency.p99),
        microseconds(row.end_to_end.p50),
        f"{start:.0f}",
        f"{row.peak_bytes / 1e6:.0f}",
    ]


def _half_width(latency: Latency) -> str:
    interval = latency.p50_interval
    return "" if interval is None else f"{50 * (interval.high - interval.low) / latency.p50:.1f}%"


def _percentile(value: float | None) -> str:
    return "–" if value is None else microseconds(value)


def bench_remarks(report: BenchReport) -> list[str]:
    """What spoils the measurements, what could not be measured, and which percentiles lack samples."""
    from mnistkit_bench.statistics import min_samples

    lines = [f"{UNSTABLE} {reason}" for reason in report.unstable]
    by_reason: dict[str, list[str]] = {}
    for row in report.measurements:
        for reason in row.unstable:
            by_reason.setdefault(reason, []).append(row.name)
    for reason, names in by_reason.items():
        which = "all of them" if 1 < len(names) == len(report.measurements) else ", ".join(names)
        lines.append(f"{UNSTABLE} {which}: {reason}")
    lines += map(failure_line, report.failures)
    share = min((row.accepted_fraction for row in report.measurements), default=1.0)
    if share < MENTIONED:
        lines.append(f"only times at which nothing slowed the processor count: {share:.0%} of them, or more")
    for name, wanted in (("p90", 90.0), ("p99", 99.0)):
        if any(getattr(row.latency, name) is None for row in report.measurements):
            lines.append(f"–: {name} needs {min_samples(wanted):,} samples; measure for longer with --seconds")
    return lines


def comparison_table(comparison: BenchComparison) -> Table:
    """One line a row that was measured then and now."""
    grid = table(
        "Now against then",
        ("artifact", "runtime"),
        ("threads", "then µs", "now µs", "ratio", "95% interval", ""),
        f"of the p50; more than {percent(comparison.fail_over)} slower, by the whole interval, is a regression",
    )
    for row in comparison.rows:
        names = row.artifact, row.runtime, str(row.threads), microseconds(row.old), microseconds(row.new)
        grid.add_row(*names, f"{row.ratio:.3f}", _ratio_interval(row), Text(row.change, _STYLES[row.change]))
    return grid


def comparison_remarks(comparison: BenchComparison) -> list[str]:
    """What could not be compared, or is not to be relied on."""
    lines = [f"measured then and not now: {', '.join(comparison.missing)}"] if comparison.missing else []
    if not comparison.rows:
        lines.append("nothing that was measured now was measured then")
    return [*lines, *(["what was measured then was spoilt already"] if comparison.baseline_unstable else [])]


def _ratio_interval(row: MeasurementComparison) -> str:
    return f"{row.interval.low:.3f} to {row.interval.high:.3f}" if row.interval else "too few rounds"


def recommendation_table(found: Recommendation) -> Table:
    """One line a candidate, the fastest first."""
    grid = table(
        f"For {found.machine}",
        ("artifact", "runtime"),
        ("threads", "p50 µs", "accuracy", "difference", "kB", "Pareto", ""),
        "Pareto: nothing else is better in accuracy, latency or size and as good in the others",
    )
    for place, candidate in enumerate(found.candidates):
        grid.add_row(
            candidate.artifact,
            candidate.runtime,
            str(candidate.threads),
            microseconds(candidate.p50),
            percent(candidate.accuracy),
            points(candidate.difference),
            kilobytes(candidate.bytes),
            "yes" if candidate.pareto else "",
            _standing(found, place, candidate),
        )
    return grid


def _standing(found: Recommendation, place: int, candidate: Candidate) -> Text:
    if place == found.chosen:
        return Text("ship this", "bold green")
    if place in found.tied:
        return Text("as fast, not smaller", "yellow")
    return Text(candidate.ruled_out)


def recommendation_line(found: Recommendation) -> str:
    """What to ship, and why."""
    if found.chosen is None:
        return "ship nothing: no artifact passes and is within the limits"
    chosen = found.candidates[found.chosen]
    why = "the fastest that passes"
    if len(found.tied) > 1:
        names = "; ".join(found.candidates[place].name for place in found.tied if place != found.chosen)
        why = f"the smallest of those that can't be told from the fastest (a tie with {names})"
    doubt = ", though something spoilt the measurement" if chosen.unstable else ""
    return f"ship {chosen.name}: {why}{doubt}"
