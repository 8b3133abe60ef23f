"""`mnistkit bench`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.commands import options


@click.command(short_help="Measure the latency of a bundle on this machine.")
@options.bundle_argument
@options.runtime
@click.option(
    "--seconds",
    type=options.FiniteRange(0.1, 300),
    default=2.0,
    show_default=True,
    help="How long to measure each artifact.",
)
@options.json_file
def command(bundle: Path, runtimes: tuple[str, ...], seconds: float, json_path: Path | None) -> None:
    """Measure the latency of a bundle's artifacts (build/cnn/bundle by default) on this machine.

    Each artifact runs in a process of its own, warmed up, on one thread, one real test image at a time.
    """
    from mnistkit import console, render
    from mnistkit.bundle import open_bundle
    from mnistkit_bench import runner

    report = runner.bench(open_bundle(bundle), runtimes, seconds, console.Terminal())
    console.deliver(report, json_path, render.bench_table(report))
