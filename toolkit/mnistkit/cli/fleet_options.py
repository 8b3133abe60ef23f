"""The options that select boards, and the output of commands that ran on boards."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli.exit_codes import ExitCode, of_verdict
from mnistkit.cli.options import PATH, Command, add_options
from mnistkit.core.errors import OptionError

if TYPE_CHECKING:
    from mnistkit.fleet.report import FleetReport

_OPTIONS = (
    click.option("--host", "hosts", multiple=True, metavar="HOST", help="Board to use, as for ssh (repeatable)."),
    click.option("--inventory", type=PATH, metavar="FILE", help="Ansible inventory of the boards to use."),
    click.option(
        "--only", metavar="PATTERN", help="Host pattern that limits the boards; @failed: those that failed last time."
    ),
    click.option("--wheel", type=PATH, metavar="FILE", help="mnistkit wheel to install. Default: the running version."),
    click.option("--wheelhouse", type=PATH, metavar="DIR", help="Folder of wheels for offline boards."),
    click.option("--results-dir", type=PATH, metavar="DIR", help="Keep each board's results in a subfolder of DIR."),
)


def fleet(command: Command) -> Command:
    """Add the options that select boards. The command receives them as one argument, `fleet`."""

    @functools.wraps(command)
    def with_fleet(
        *arguments: object,
        hosts: tuple[str, ...],
        inventory: Path | None,
        only: str | None,
        wheel: Path | None,
        wheelhouse: Path | None,
        results_dir: Path | None,
        **options: object,
    ) -> None:
        if bool(hosts) == bool(inventory):
            problem = "--host and --inventory are both given" if hosts else "no boards are given"
            raise OptionError(problem, "pass either --host or --inventory")
        from mnistkit.fleet.inventory import Fleet

        command(*arguments, fleet=Fleet(hosts, inventory, only, wheel, wheelhouse, results_dir), **options)

    return add_options(with_fleet, _OPTIONS)


def write_report(report: FleetReport, json_path: Path | None, *, allow_inconclusive: bool = False) -> ExitCode:
    """Print the report, write it as JSON if a path is given, and return the exit code."""
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import fleet as tables

    spread = [tables.spread_table(report)] if report.spread else []
    terminal.write_result(report, json_path, tables.fleet_table(report), *spread, *tables.remarks(report))
    return of_verdict(report.verdict, allow_inconclusive=allow_inconclusive)
