"""What became of boards, as people read it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mnistkit.cli.tables import UNSTABLE, failure_line, microseconds, percent, points, table, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mnistkit.bench_report import BenchReport
    from mnistkit.fleet.report import FleetReport, Host, Spread

STYLES = {"ok": "green", "PASS": "green", "failed": "bold red", "unreachable": "bold red", "FAIL": "bold red"}


def fleet_table(report: FleetReport) -> Table:
    """One line a board."""
    return {"deploy": _deployed, "verify": _verified, "bench": _measured}[report.action](report)


def _deployed(report: FleetReport) -> Table:
    grid = table(_title(report), ("board",), ("steps needed", "s", ""))
    for host in report.hosts:
        grid.add_row(host.host, str(len(host.changed) or "none"), f"{host.seconds:.1f}", _status(host))
    return grid


def _verified(report: FleetReport) -> Table:
    grid = table(
        _title(report),
        ("board", "is"),
        ("artifacts", "at worst", "differ", "s", ""),
        "at worst: points lost, by the 95% interval\ndiffer: images answered otherwise than here",
    )
    for host in report.hosts:
        found, artifacts = host.verify, host.comparison.artifacts if host.comparison else ()
        worst = min((row.parity.interval.low for row in found.rows), default=None) if found else None
        grid.add_row(
            host.host,
            found.machine.cpu if found else "",
            str(len(found.rows)) if found else "",
            "" if worst is None else points(worst),
            f"{max(pairing.images_differ for pairing in artifacts):,}" if artifacts else "",
            f"{host.seconds:.1f}",
            _status(host, found.verdict if found else ""),
        )
    return grid


def _measured(report: FleetReport) -> Table:
    grid = table(_title(report), ("board", "is", "fastest", "on"), ("p50 µs", "s", ""))
    for host in report.hosts:
        rows = host.bench.measurements if host.bench else ()
        fastest = min(rows, key=lambda row: row.latency.p50, default=None)
        spoilt = UNSTABLE if host.bench and host.bench.is_unstable else ""
        grid.add_row(
            host.host,
            host.bench.machine.cpu if host.bench else "",
            *((fastest.artifact, fastest.runtime) if fastest else ("", "")),
            microseconds(fastest.latency.p50) + spoilt if fastest else "",
            f"{host.seconds:.1f}",
            _status(host),
        )
    return grid


def spread_table(report: FleetReport) -> Table:
    """One line an artifact and runtime."""
    latency = report.action == "bench"
    what = "p50 µs" if latency else "accuracy"
    grid = table(
        f"The boards against each other: {what}", ("artifact", "runtime"), ("boards", "lowest", "median", "highest")
    )
    for name in ("lowest on", "highest on"):
        grid.add_column(name, no_wrap=True)
    for row in report.spread:
        threads = f", {row.threads} threads" if row.threads > 1 else ""
        ends = (row.lowest_host, row.highest_host) if row.lowest < row.highest else ("", "")
        grid.add_row(row.artifact, row.runtime + threads, str(row.hosts), *_figures(row), *ends)
    return grid


def remarks(report: FleetReport) -> list[str]:
    """Why boards failed, and what they found that is no PASS; each reason once, with the boards that it holds for."""
    reasons: dict[str, list[str]] = {}
    for host in report.hosts:
        for reason in _reasons(host):
            reasons.setdefault(reason, []).append(host.host)
    lines = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    if report.not_compared:
        lines.append(f"not compared with this machine: {report.not_compared}")
    return lines


def _reasons(host: Host) -> Iterator[str]:
    if host.status != "ok":
        yield f"{host.status}: {host.problem}; {host.remedy}"
    if host.verify:
        yield from verify.remarks(host.verify)
    if host.bench:
        yield from _doubts(host.bench)


def _doubts(found: BenchReport) -> Iterator[str]:
    yield from map(failure_line, found.failures)
    unstable = [*found.unstable, *(reason for row in found.measurements for reason in row.unstable)]
    yield from (f"{UNSTABLE} {reason}" for reason in dict.fromkeys(unstable))


def _title(report: FleetReport) -> str:
    done = len(report.hosts) - len(report.failed)
    what = {"deploy": "prepared", "verify": "verified", "bench": "measured"}[report.action]
    return f"{done} of {len(report.hosts)} boards {what}"


def _status(host: Host, verdict: str = "") -> Text:
    shown = verdict if verdict and host.status == "ok" else host.status
    return Text(shown, STYLES.get(shown, "yellow"))


def _figures(row: Spread) -> list[str]:
    shown = microseconds if row.measure == "p50" else percent
    return [shown(row.lowest), shown(row.median), shown(row.highest)]
