"""`mnistkit doctor`. Formats its own output: `cli.tables` needs rich, and a new board may have click alone."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode
from mnistkit.cli.stdout import reader_may_close

if TYPE_CHECKING:
    from mnistkit.core.progress import Progress
    from mnistkit.device.doctor import DoctorReport, Finding, RuntimeStatus

_COLORS = {"problem": "red", "warning": "yellow"}


@click.command(short_help="Check this machine and its runtimes.")
@options.json_file
@click.pass_context
def command(ctx: click.Context, json_path: Path | None) -> None:
    """Check this machine and its runtimes, and print a remedy for each problem.

    Changes nothing, needs no network and no package but click. Exit code 1 if there is a problem.
    """
    from mnistkit.core import records
    from mnistkit.core.progress import SILENT
    from mnistkit.device import doctor

    progress: Progress = SILENT
    if importlib.util.find_spec("rich"):
        from mnistkit.cli import terminal

        progress = terminal.Terminal()
    report = doctor.run_checks(progress)
    color = False if os.environ.get("NO_COLOR") else None
    if json_path and json_path != Path("-"):
        records.write(json_path, report)
    with reader_may_close():
        if json_path == Path("-"):
            sys.stdout.write(records.to_json(report))
        else:
            click.echo("\n".join(_lines(report)), color=color)
    ctx.exit(ExitCode.CHECK_FAILED if report.has_problem else ExitCode.OK)


def _lines(report: DoctorReport) -> Iterator[str]:
    """The machine and its state, a line for each runtime, and each finding with its remedy."""
    machine, state = report.machine, report.state
    kind = ", emulated" if machine.emulated else ", virtual machine" if machine.virtual else ""
    yield click.style(machine.cpu, bold=True) + kind
    cores = f"{machine.architecture}, {machine.cores} cores"
    yield f"{cores}, {machine.bits}-bit userland, memory pages of {machine.page_size:,} bytes"
    yield f"{machine.kernel}, {machine.libc or 'C library other than glibc'}, Python {report.versions['python']}"
    sensors = [f"{state.mhz:,.0f} MHz" if state.mhz else "", f"{state.celsius:.0f} °C" if state.celsius else ""]
    yield ", ".join(part for part in (*sensors, *machine.governors, f"load {state.load:g}") if part)
    yield ""
    width = max(len(status.runtime) for status in report.runtimes)
    yield from (_runtime_line(status, width) for status in report.runtimes)
    for finding in report.findings:
        yield ""
        yield from _finding_lines(finding)
    if not report.findings:
        yield ""
        yield click.style("no problems found", fg="green")


def _runtime_line(status: RuntimeStatus, width: int) -> str:
    from mnistkit.device.doctor import COMPILED

    name = f"{status.runtime:{width}}  .{status.format:6}  "
    if status.loads:
        newer = f", {status.wheel} is available" if status.wheel and status.wheel != status.installed else ""
        verb = "compiles" if status.format == COMPILED else "loads"
        return click.style("✓ ", fg="green") + f"{name}{status.installed} {verb}{newer}"
    if status.installed:
        verb = "compile" if status.format == COMPILED else "load"
        return click.style("✗ ", fg="red") + f"{name}{status.installed} does not {verb}"
    available = f"{status.wheel} is available" if status.wheel else status.reason
    return f"– {name}not installed, {available}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield click.style(f"{finding.severity}: ", fg=_COLORS[finding.severity], bold=True) + finding.message
    yield f"    {finding.remedy}"
