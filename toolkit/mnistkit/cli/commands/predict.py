"""`mnistkit predict`."""

from pathlib import Path

import click

from mnistkit.cli import options


@click.command(short_help="Classify a test image.")
@click.argument("model", type=options.PATH, default=options.WORKSPACE / "model.keras", metavar="[MODEL|BUNDLE]")
@click.option("--index", default=0, help="Index of the test image.")
@click.option("--artifact", metavar="NAME", help="Artifact of the bundle to use. Default: its first artifact.")
@options.trust_code
@options.data
def command(model: Path, index: int, artifact: str | None, trust_code: bool, data: options.DataOptions) -> None:
    """Classify a test image with a Keras model (build/cnn/model.keras by default) or an artifact of a bundle.

    Prints the image, the probability of each class, the predicted class and the label. If a bundle is given, the image
    is one of the bundle's own test set.
    """
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit.cli.tables import images
    from mnistkit.core import files
    from mnistkit.verify.classify import classify_with_artifact, classify_with_model

    if model.is_dir():
        result = classify_with_artifact(open_bundle(model, trust_code=trust_code), artifact, index)
    elif artifact:
        raise click.UsageError(f"--artifact requires a bundle, but {model} is not a folder.")
    else:
        files.check_readable(model)
        result = classify_with_model(model, data.load(terminal.Terminal()), index)
    terminal.show(images.blocks(result.image), images.classification_text(result))
