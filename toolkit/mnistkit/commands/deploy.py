"""`mnistkit deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnistkit.commands import options

if TYPE_CHECKING:
    from mnistkit.fleet.run import Fleet


@click.command(short_help="Bring a bundle and mnistkit to boards.")
@options.bundle_argument
@options.fleet
@options.json_file
@click.pass_context
def command(ctx: click.Context, bundle: Path, fleet: Fleet | None, json_path: Path | None) -> None:
    """Bring a bundle (build/cnn/bundle by default) and mnistkit to boards over SSH.

    Your SSH configuration, keys and known hosts are used as they are. What is there already is left alone, and nothing
    needs root. A board that fails holds up no other. Exit code 1 if one does.
    """
    from mnistkit import console
    from mnistkit.bundle import open_bundle
    from mnistkit.fleet import run

    report = run.deploy(open_bundle(bundle), options.required(fleet), console.Terminal())
    ctx.exit(options.deliver_fleet(report, json_path))
