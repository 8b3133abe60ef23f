"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnistkit.errors import StorageError

if TYPE_CHECKING:
    from mnistkit.data.dataset import Dataset
    from mnistkit.parity import Verdict
    from mnistkit.progress import Progress

WORKSPACE = Path("build/cnn")
PATH = click.Path(path_type=Path)


class FiniteRange(click.FloatRange):
    """A range of numbers that `nan`, which compares with nothing, is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


data = click.option(
    "--data",
    type=PATH,
    envvar="MNISTKIT_DATA",
    show_envvar=True,
    metavar="PATH",
    help="An npz with x_train, y_train, x_test and y_test, or a folder of four IDX files, instead of MNIST.",
)
json_file = click.option(
    "--json", "json_path", type=PATH, metavar="FILE", help="Write the result as JSON ('-': print it)."
)
bundle_argument = click.argument("bundle", type=PATH, default=WORKSPACE / "bundle")
# The names stand here so that help needs no import; a test holds them against mnistkit.runtimes.
runtime = click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["litert", "tflite-runtime", "tensorflow", "onnxruntime"]),
    help="Use this runtime alone (repeatable); by default those that are installed.",
)
force_json = click.option("--force", is_flag=True, help="Replace the file of --json.")
margin = click.option(
    "--margin",
    type=FiniteRange(0, 100, min_open=True),
    default=0.2,
    show_default=True,
    help="How many percentage points of accuracy may be lost.",
)
allow_inconclusive = click.option(
    "--allow-inconclusive", is_flag=True, help="Exit with 0 even where there are too few images to tell."
)


def check_vacant(path: Path | None, *, force: bool) -> None:
    """Raise StorageError where a result would replace a file, unless that is wanted; a device takes any."""
    if path and path.is_dir():
        raise StorageError(f"{path} is a folder", "name a file")
    if path and path.is_file() and not force:
        raise StorageError(f"{path} is there already", "choose another name, or say --force")


def exit_code(verdict: Verdict, *, allow_inconclusive: bool) -> int:
    """What a verdict makes a command end with."""
    return {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 0 if allow_inconclusive else 3}[verdict]


def load_data(path: Path | None, progress: Progress) -> Dataset:
    """The data set of `--data`, or MNIST."""
    from mnistkit.data import dataset, mnist

    return dataset.load(path) if path else mnist.load(progress)
