"""`mnistkit inspect`."""

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Show the metadata of a bundle or an artifact.")
@click.argument("path", type=options.PATH, default=options.WORKSPACE / "bundle")
@options.json_file
def command(path: Path, json_path: Path | None) -> None:
    """Show the metadata of a bundle (build/cnn/bundle by default), or of a single .tflite, .onnx or .c file.

    Every artifact stores its own metadata: source model, data, conversion. The checksums of a bundle are verified
    first.
    """
    from mnistkit.cli import terminal
    from mnistkit_export import tables

    if path.is_dir():
        from mnistkit.bundle import open_bundle

        bundle = open_bundle(path)
        terminal.write_result(bundle.manifest, json_path, *tables.bundle_metadata(bundle))
    else:
        from mnistkit_export.inspection import inspect

        inspection = inspect(path)
        terminal.write_result(inspection, json_path, tables.file_metadata(inspection))
