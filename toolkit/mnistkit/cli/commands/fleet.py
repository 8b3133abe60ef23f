"""`mnistkit fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode
from mnistkit.cli.fleet_options import fleet as fleet_options
from mnistkit.cli.fleet_options import write_report

if TYPE_CHECKING:
    from mnistkit.fleet.inventory import Fleet


@click.group(short_help="Deploy, verify and bench on boards over SSH.")
def command() -> None:
    """Deploy, verify and bench on boards over SSH.

    Uses your SSH configuration, keys and known hosts; nothing needs root. A board that fails does not stop the others.
    """


@command.command(short_help="Install a bundle and mnistkit on boards.")
@options.bundle_argument
@fleet_options
@options.json_file
@click.pass_context
def deploy(ctx: click.Context, bundle: Path, fleet: Fleet, json_path: Path | None) -> None:
    """Install a bundle (build/cnn/bundle by default) and mnistkit on boards.

    What is already installed is left unchanged. Exit code 1 if a board fails.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli.terminal import Terminal
    from mnistkit.fleet import run

    report = run.deploy(open_bundle(bundle), fleet, Terminal())
    ctx.exit(write_report(report, json_path))


@command.command(short_help="Verify a bundle on boards.")
@options.bundle_argument
@fleet_options
@options.runtime
@options.trust_code
@options.margin
@options.limit
@options.sample_seed
@options.holm
@options.max_ece
@options.allow_inconclusive
@options.json_file
@click.pass_context
def verify(
    ctx: click.Context,
    bundle: Path,
    fleet: Fleet,
    runtimes: tuple[str, ...],
    trust_code: bool,
    margin: float,
    limit: int | None,
    seed: int,
    holm: bool,
    max_ece: float | None,
    allow_inconclusive: bool,
    json_path: Path | None,
) -> None:
    """Verify a bundle (build/cnn/bundle by default) on boards, and compare their predictions with this machine's.

    Deploys the bundle first if needed. Exit codes as for 'mnistkit verify', and 1 if a board fails.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli.terminal import Terminal
    from mnistkit.fleet import run
    from mnistkit.verify.parity import Limits

    settings = run.VerifyOptions(limit, seed, Limits(margin, max_ece=max_ece), holm)
    report = run.verify(open_bundle(bundle, trust_code=trust_code), fleet, runtimes, settings, Terminal())
    ctx.exit(write_report(report, json_path, allow_inconclusive=allow_inconclusive))


@command.command(short_help="Measure the latency of a bundle on boards.")
@options.bundle_argument
@fleet_options
@options.runtime
@options.trust_code
@options.sampling
@options.strict
@options.json_file
@click.pass_context
def bench(
    ctx: click.Context,
    bundle: Path,
    fleet: Fleet,
    runtimes: tuple[str, ...],
    trust_code: bool,
    seconds: float,
    samples: int | None,
    processes: int | None,
    threads: tuple[int, ...],
    strict: bool,
    json_path: Path | None,
) -> None:
    """Measure the latency of a bundle (build/cnn/bundle by default) on boards.

    Deploys the bundle first if needed. Exit code 1 if a board fails or an artifact could not be measured; 4 with
    --strict if a measurement may be unstable.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli.terminal import Terminal
    from mnistkit.fleet import run

    arguments = ["--seconds", str(seconds), "--threads", ",".join(map(str, threads))]
    for name, value in (("--processes", processes), ("--samples", samples)):
        arguments += [] if value is None else [name, str(value)]
    report = run.bench(open_bundle(bundle, trust_code=trust_code), fleet, runtimes, arguments, Terminal())
    code = write_report(report, json_path)
    ctx.exit(code or (ExitCode.UNSTABLE if strict and report.is_unstable else ExitCode.OK))
