"""Profile `cnn` and `edge` on both runtimes, and a network in which one convolution is duplicated.

python benchmarks/profile_layers.py
"""

import tempfile
from pathlib import Path
from typing import Any

import untrained
from mnistkit.bundle import Bundle
from mnistkit.cli import tables, terminal
from mnistkit.core.interval import Interval
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit.training.keras_models import import_keras
from mnistkit_bench import profile_tables
from mnistkit_bench.jobs import SamplingOptions
from mnistkit_bench.profile import ArtifactProfile, LayerTime, ProfileOptions, profile
from mnistkit_export.exporter import export
from mnistkit_export.plan import ExportOptions
from mnistkit_export.preprocessing import PreprocessingOptions

OPTIONS = ExportOptions(
    quantizations=("float32", "int8"), preprocessing=PreprocessingOptions("raw"), accept_accuracy=True, profile=True
)
SAMPLING = SamplingOptions(seconds=2)


def build(copies: int) -> Any:
    """A network with a convolution that is repeated `copies` times."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu", name="first"),
            *(
                layers.Conv2D(16, 3, padding="same", activation="relu", name=f"repeated{number}")
                for number in range(copies)
            ),
            layers.Conv2D(32, 3, activation="relu", name="last"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, "softmax", name="head"),
        ]
    )


def export_model(model: Any, data: Dataset, folder: Path) -> Bundle:
    """The bundle of a model with its graphs."""
    folder.mkdir()
    keras_models.save(model, folder / "model.keras")
    return export(folder / "model.keras", data, folder / "bundle", OPTIONS)


def overlap(first: LayerTime, second: LayerTime) -> bool:
    """Whether the intervals of two rows overlap."""
    return (first.interval or Interval(0, 0)).overlaps(second.interval or Interval(0, 0))


def duplicated_table(once: ArtifactProfile, twice: ArtifactProfile) -> Any:
    """The rows of the network with one convolution, and with the same convolution twice."""
    grid = tables.table(
        f"One convolution, and the same twice: {once.name}", ("layer",), ("once µs", "twice µs", "intervals")
    )
    rows, doubled = ({row.layer: row for row in profile.layers} for profile in (once, twice))
    for name, row in doubled.items():
        before = rows.get(name) or rows["repeated0"]  # the copy is compared with the original
        grid.add_row(
            name,
            f"{before.microseconds:.2f}",
            f"{row.microseconds:.2f}",
            "overlap" if overlap(before, row) else "differ",
        )
    return grid


def main() -> None:
    """Print the profiles."""
    data = mnist.load()
    data = Dataset(data.name, data.x_train[:2000], data.y_train[:2000], data.x_test[:1000], data.y_test[:1000])
    progress = terminal.Terminal()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for recipe in ("cnn", "edge"):
            untrained.save(recipe, data, folder / f"{recipe}.keras")
            bundle = export(folder / f"{recipe}.keras", data, folder / recipe, OPTIONS)
            report = profile(bundle, ProfileOptions(SAMPLING), progress)
            terminal.show(recipe, *profile_tables.tables(report), "")
        profiles = [
            profile(
                export_model(build(copies), data, folder / f"copies{copies}"),
                ProfileOptions(SAMPLING, artifacts=("model.int8.tflite",)),
                progress,
            )
            for copies in (1, 2)
        ]
    terminal.show(duplicated_table(profiles[0].artifacts[0], profiles[1].artifacts[0]))


if __name__ == "__main__":
    main()
