"""`mnistkit summary`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Show what a workspace has come to.")
@click.argument("workspace", type=options.PATH, default=options.WORKSPACE)
def command(workspace: Path) -> None:
    """Show what a workspace (build/cnn by default) has come to: trained, verified, measured."""
    from mnistkit import console, records, render
    from mnistkit.training import Run
    from mnistkit.verification import VerifyReport
    from mnistkit_bench.results import BenchReport

    again = "run 'make' again"
    run = records.read(workspace / "run.json", Run, again)
    verified = records.read(workspace / "verify.json", VerifyReport, again)
    measured = records.read(workspace / "bench.json", BenchReport, again)
    console.show(render.run_line(run), render.summary_table(verified, measured))
