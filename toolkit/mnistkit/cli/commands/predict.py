"""`mnistkit predict`."""

from __future__ import annotations

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Classify one test image.")
@click.argument("model", type=options.PATH, default=options.WORKSPACE / "model.keras", metavar="[MODEL|BUNDLE]")
@click.option("--index", default=0, show_default=True, help="Which test image.")
@click.option("--artifact", metavar="NAME", help="Which artifact of a bundle; its first by default.")
@options.data
def command(model: Path, index: int, artifact: str | None, data: Path | None) -> None:
    """Classify one test image with a Keras model (build/cnn/model.keras by default) or an artifact of a bundle.

    Shows the image, the probability of each class and the truth. A bundle brings its own test images.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import images
    from mnistkit.core import files
    from mnistkit.verify.classify import classify_with_artifact, classify_with_model

    if artifact and not model.is_dir():
        raise click.UsageError(f"--artifact names one of a bundle's, and {model} is none.")
    if model.is_dir():
        answer = classify_with_artifact(open_bundle(model), artifact, index)
    else:
        files.check_readable(model)
        answer = classify_with_model(model, options.load_data(data, terminal.Terminal()), index)
    terminal.show(images.blocks(answer.image), images.answer_text(answer))
