"""`mnistkit profile`."""

from pathlib import Path

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode


@click.command(short_help="Measure the time of each layer on this machine.")
@options.bundle_argument
@click.option("--artifact", "artifacts", multiple=True, metavar="NAME", help="Artifact to profile (repeatable).")
@options.runtime
@options.seconds
@options.processes
@options.cpu
@click.option("--png", type=options.PATH, metavar="FILE", help="Write the times to FILE as a bar chart.")
@options.json_file
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    artifacts: tuple[str, ...],
    runtimes: tuple[str, ...],
    seconds: float,
    processes: int | None,
    cpu: int | None,
    png: Path | None,
    json_path: Path | None,
) -> None:
    """Measure the time of each layer of a bundle (build/cnn/bundle by default) on this machine.

    The bundle must be exported with --profile. Each artifact is measured whole and cut after each of its layers, in
    turn; the time of a layer is the difference. Beside it stands the rate of large convolutions on the same runtime:
    what the processor can do. Exit code 1 if an artifact could not be measured.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit.core import files, plots
    from mnistkit_bench import profile_tables
    from mnistkit_bench.jobs import SamplingOptions
    from mnistkit_bench.profile import ProfileOptions, profile

    if png:
        plots.require()
    profile_options = ProfileOptions(SamplingOptions(seconds, None, processes), artifacts, runtimes, cpu)
    report = profile(open_bundle(bundle), profile_options, terminal.Terminal())
    if png:
        files.write_bytes(png, plots.bar_charts(profile_tables.bars(report)))
    terminal.write_result(report, json_path, *profile_tables.tables(report), *profile_tables.remarks(report))
    failed = any(not failure.skipped for failure in report.failures)
    ctx.exit(ExitCode.CHECK_FAILED if failed else ExitCode.OK)
