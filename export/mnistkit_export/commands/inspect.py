"""`mnistkit inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Show where a bundle or an artifact comes from.")
@click.argument("path", type=options.PATH, default=options.WORKSPACE / "bundle")
@options.json_file
def command(path: Path, json_path: Path | None) -> None:
    """Show where a bundle (build/cnn/bundle by default) or a lone .tflite or .onnx file comes from, and what it holds.

    A file that mnistkit made carries its papers in itself. A bundle's checksums are checked first.
    """
    from mnistkit.cli import terminal
    from mnistkit_export import tables

    if path.is_dir():
        from mnistkit.bundle import open_bundle

        bundle = open_bundle(path)
        terminal.write_result(bundle.manifest, json_path, *tables.bundle_facts(bundle))
    else:
        from mnistkit_export.inspection import inspect

        found = inspect(path)
        terminal.write_result(found, json_path, tables.file_facts(found))
