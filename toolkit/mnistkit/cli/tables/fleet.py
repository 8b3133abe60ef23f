"""Tables and remarks for runs on boards. Pure."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from mnistkit.bench_report import BenchReport
from mnistkit.cli.tables import UNSTABLE, microseconds, percent, points, table, verify
from mnistkit.cli.tables.remarks import failure_line, reason_lines, unstable_line
from mnistkit.fleet.report import FleetReport, Host

STYLES = {"ok": "green", "PASS": "green", "failed": "bold red", "unreachable": "bold red", "FAIL": "bold red"}


def fleet_table(report: FleetReport) -> Table:
    """A row for each board."""
    return {"deploy": _deploy_table, "verify": _verify_table, "bench": _bench_table}[report.action](report)


def _deploy_table(report: FleetReport) -> Table:
    grid = table(_title(report, "Deployed to"), ("board",), ("changed tasks", "seconds", "status"))
    for host in report.hosts:
        grid.add_row(host.host, str(len(host.changed)), f"{host.seconds:.1f}", _status(host))
    return grid


def _verify_table(report: FleetReport) -> Table:
    grid = table(
        _title(report, "Verified on"),
        ("board", "CPU"),
        ("artifacts", "95% CI lower", "differing", "seconds", "verdict"),
        "95% CI lower: the lowest bound of all artifacts, in percentage points\n"
        "differing: images whose probabilities differ from this machine's; the highest number of all artifacts",
    )
    for host in report.hosts:
        rows = host.verify.rows if host.verify else ()
        artifacts = host.comparison.artifacts if host.comparison else ()
        grid.add_row(
            host.host,
            host.verify.machine.cpu if host.verify else "",
            str(len(rows)) if host.verify else "",
            points(min(row.parity.interval.low for row in rows)) if rows else "",
            f"{max(artifact.differing_images for artifact in artifacts):,}" if artifacts else "",
            f"{host.seconds:.1f}",
            _status(host, host.verify.verdict if host.verify else ""),
        )
    return grid


def _bench_table(report: FleetReport) -> Table:
    grid = table(
        _title(report, "Measured on"),
        ("board", "CPU", "fastest artifact", "runtime"),
        ("idle p50 µs", "seconds", "status"),
    )
    for host in report.hosts:
        rows = host.bench.measurements if host.bench else ()
        fastest = min(rows, key=lambda row: row.latency.idle.p50, default=None)
        mark = UNSTABLE if host.bench and host.bench.is_unstable else ""
        grid.add_row(
            host.host,
            host.bench.machine.cpu if host.bench else "",
            *((fastest.artifact, fastest.runtime) if fastest else ("", "")),
            microseconds(fastest.latency.idle.p50) + mark if fastest else "",
            f"{host.seconds:.1f}",
            _status(host),
        )
    return grid


def spread_table(report: FleetReport) -> Table:
    """A row for each artifact and runtime."""
    metric = "idle p50 µs" if report.action == "bench" else "accuracy"
    grid = table(f"Spread over boards: {metric}", ("artifact", "runtime"), ("boards", "lowest", "median", "highest"))
    for name in ("lowest board", "highest board"):
        grid.add_column(name, no_wrap=True)
    for row in report.spread:
        threads = f", {row.threads} threads" if row.threads > 1 else ""
        boards = (row.lowest_host, row.highest_host) if row.lowest < row.highest else ("", "")
        values = map(microseconds if row.metric == "p50" else percent, (row.lowest, row.median, row.highest))
        grid.add_row(row.artifact, row.runtime + threads, str(row.hosts), *values, *boards)
    return grid


def remarks(report: FleetReport) -> list[str]:
    """Why boards failed, are not PASS or may be unstable, each with its boards, and the error of all tests together."""
    lines = reason_lines((host.host, reason) for host in report.hosts for reason in _reasons(host))
    if report.family:
        lines += verify.family_remarks(report.family)
    if report.not_compared:
        lines.append(f"not compared with this machine: {report.not_compared}")
    return lines


def _reasons(host: Host) -> Iterator[str]:
    if host.status != "ok":
        yield f"{host.status}: {host.problem}; {host.remedy}"
    if host.verify:
        yield from verify.reasons(host.verify)
    if host.bench:
        yield from _bench_reasons(host.bench)


def _bench_reasons(report: BenchReport) -> Iterator[str]:
    yield from map(failure_line, report.failures)
    unstable = [*report.unstable, *(reason for row in report.measurements for reason in row.unstable)]
    yield from map(unstable_line, dict.fromkeys(unstable))


def _title(report: FleetReport, activity: str) -> str:
    return f"{activity} {len(report.hosts) - len(report.failed)} of {len(report.hosts)} boards"


def _status(host: Host, verdict: str = "") -> Text:
    status = verdict if verdict and host.status == "ok" else host.status
    return Text(status, STYLES.get(status, "yellow"))
