"""`mnistkit doctor`: its lines stand here and not in `render`, which needs rich; a fresh board has click alone."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options

if TYPE_CHECKING:
    from mnistkit.core.progress import Progress
    from mnistkit.device.doctor import DoctorReport, Finding, RuntimeStatus

_COLOURS = {"problem": "red", "warning": "yellow"}


@click.command(short_help="Say what this machine is, and what runs on it.")
@options.json_file
@options.force_json
@click.pass_context
def command(ctx: click.Context, json_path: Path | None, force: bool) -> None:
    """Say what this machine is, which runtimes load on it, and what would mend the rest.

    It changes nothing, asks nobody, and needs no package but click. Exit code 1 where something does not work.
    """
    from mnistkit.core import records
    from mnistkit.core.progress import SILENT
    from mnistkit.device import doctor

    options.check_not_exists(json_path, force=force)
    progress: Progress = SILENT
    if importlib.util.find_spec("rich"):
        from mnistkit.cli import terminal

        progress = terminal.Terminal()
    report = doctor.run_checks(progress)
    if json_path == Path("-"):
        sys.stdout.write(records.to_json(report))
    else:
        colour = False if os.environ.get("NO_COLOR") else None
        for line in _lines(report):
            click.echo(line, color=colour)
        if json_path:
            records.write(json_path, report)
    ctx.exit(1 if report.has_problem else 0)


def _lines(report: DoctorReport) -> Iterator[str]:
    """The machine, a line for each runtime, and each finding with what would mend it."""
    machine, now = report.machine, report.state
    kind = ", emulated" if machine.emulated else ", a virtual machine" if machine.virtual else ""
    yield click.style(machine.cpu, bold=True) + kind
    cores = f"{machine.architecture}, {machine.cores} cores"
    yield f"{cores}, {machine.bits}-bit userland, pages of {machine.page_size:,} bytes"
    yield f"{machine.kernel}, {machine.libc or 'a C library that is not glibc'}, Python {report.versions['python']}"
    parts = [f"{now.mhz:,.0f} MHz" if now.mhz else "", f"{now.celsius:.0f} °C" if now.celsius else ""]
    yield ", ".join(part for part in (*parts, *machine.governors, f"load {now.load:g}") if part)
    yield ""
    width = max(len(found.runtime) for found in report.runtimes)
    yield from (_runtime_line(found, width) for found in report.runtimes)
    for finding in report.findings:
        yield ""
        yield from _finding_lines(finding)
    if not report.findings:
        yield ""
        yield click.style("nothing to mend", fg="green")


def _runtime_line(found: RuntimeStatus, width: int) -> str:
    name = f"{found.runtime:{width}}  .{found.format:6}  "
    if found.loads:
        newer = f", {found.wheel} is there" if found.wheel and found.wheel != found.installed else ""
        return click.style("✓ ", fg="green") + f"{name}{found.installed} loads{newer}"
    if found.installed:
        return click.style("✗ ", fg="red") + f"{name}{found.installed} does not load"
    return f"– {name}" + (
        f"not installed; {found.wheel} has a wheel" if found.wheel else f"not installed; {found.reason}"
    )


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield click.style(f"{finding.severity}: ", fg=_COLOURS[finding.severity], bold=True) + finding.what
    yield f"    {finding.remedy}"
