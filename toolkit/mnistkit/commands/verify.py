"""`mnistkit verify`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Check that a bundle is as right as the model.")
@options.bundle_argument
@options.runtime
@click.option(
    "--margin",
    type=options.FiniteRange(0, 100),
    default=0.2,
    show_default=True,
    help="How many percentage points of accuracy an artifact may lose.",
)
@options.json_file
@click.pass_context
def command(ctx: click.Context, bundle: Path, runtimes: tuple[str, ...], margin: float, json_path: Path | None) -> None:
    """Check that a bundle (build/cnn/bundle by default) is as right as the original model.

    Holds every file against its SHA-256, runs every artifact on all test images, and compares with the
    original model's own answers. Exit code 1 if an artifact loses more than the margin.
    """
    from mnistkit import console, render, verification
    from mnistkit.bundle import open_bundle

    report = verification.verify(open_bundle(bundle), runtimes, margin, console.Terminal())
    console.deliver(report, json_path, render.verify_table(report), *render.failures(report))
    ctx.exit(0 if report.passed else 1)
