"""Options and arguments that several commands share."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnistkit.core.errors import StorageError

if TYPE_CHECKING:
    from mnistkit.core.progress import Progress
    from mnistkit.data.dataset import Dataset
    from mnistkit.data.imaging import Resize

WORKSPACE = Path("build/cnn")
PATH = click.Path(path_type=Path)

Command = Callable[..., None]


class FiniteRange(click.FloatRange):
    """A range of finite numbers: click.FloatRange accepts `nan`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails if it is not finite or out of range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


class Counts(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of numbers from 1 to 256."""

    name = "N,N…"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The counts, without duplicates."""
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if not all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
            self.fail(f"{value} is not a list of numbers from 1 to 256.", param, ctx)
        return tuple(dict.fromkeys(map(int, parts)))


_DATA = (
    click.option(
        "--data",
        type=PATH,
        envvar="MNISTKIT_DATA",
        show_envvar=True,
        metavar="PATH",
        help="Data set to use instead of MNIST: an npz file with x_train, y_train, x_test and y_test, a folder of four "
        "IDX files, or a folder of pictures: train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png.",
    ),
    click.option(
        "--resize",
        type=click.Choice(["stretch", "crop", "pad"]),
        help="How to resize pictures of another size. Default: they are an error.",
    ),
    click.option(
        "--split-seed",
        type=click.IntRange(0),
        default=0,
        help="Seed of the split of a folder of pictures without train and test folders; a sixth is for testing.",
    ),
)
bundle_argument = click.argument("bundle", type=PATH, default=WORKSPACE / "bundle")
# The names are repeated here so that --help imports no runtime; a test compares them with mnistkit.runtimes.
runtime = click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["litert", "tflite-runtime", "tensorflow", "onnxruntime", "c"]),
    help="Runtime to use (repeatable). Default: every installed runtime.",
)
trust_code = click.option(
    "--trust-code", is_flag=True, help="Run the C code of a bundle even if it was made on another machine."
)
margin = click.option(
    "--margin",
    type=FiniteRange(0, 100, min_open=True),
    default=0.2,
    help="Margin of non-inferiority, in percentage points.",
)
holm = click.option(
    "--holm", is_flag=True, help="Keep the error of all tests together at 2.5%, instead of that of each."
)
max_ece = click.option(
    "--max-ece",
    type=FiniteRange(0, 100),
    metavar="POINTS",
    help="Largest rise of the expected calibration error. Default: no limit.",
)
allow_inconclusive = click.option("--allow-inconclusive", is_flag=True, help="Exit with 0 on an INCONCLUSIVE verdict.")
limit = click.option("--limit", type=click.IntRange(1), metavar="N", help="Evaluate a stratified sample of N images.")
sample_seed = click.option("--seed", type=click.IntRange(0), default=1, help="Seed of the --limit sample.")
strict = click.option("--strict", is_flag=True, help="Exit with 4 if a measurement may be unstable.")

seconds = click.option("--seconds", type=FiniteRange(0.1, 300), default=1.5, help="Seconds to measure each artifact.")
processes = click.option(
    "--processes",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Processes to measure each artifact in. Default: 4 to 8, as their differences require.",
)
cpu = click.option("--cpu", type=click.IntRange(0), metavar="N", help="Run on core N only.")
_SAMPLING = (
    seconds,
    click.option(
        "--samples",
        type=click.IntRange(1, 10**7),
        metavar="N",
        help="Measure each artifact until it has N idle samples, instead of for --seconds.",
    ),
    processes,
    click.option("--threads", type=Counts(), default="1", help="Thread counts, separated by commas."),
)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add several options; help lists them in this order."""
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def sampling(command: Command) -> Command:
    """The options of `bench` that set how much is measured."""
    return add_options(command, _SAMPLING)


_JSON = (
    click.option(
        "--json", "json_path", type=PATH, metavar="FILE", help="Write the result to FILE as JSON; '-' prints it."
    ),
    click.option("--force", is_flag=True, help="Replace output files that exist."),
)
OUTPUT_FILES = ("json_path", "junit", "png", "save_predictions")  # parameters of commands


def json_file(command: Command) -> Command:
    """The options --json and --force. Output files are checked before the command starts."""

    @functools.wraps(command)
    def checked(*arguments: Any, force: bool, **options: Any) -> None:
        for name in OUTPUT_FILES:
            if options.get(name) not in (None, Path("-")):
                _check_output_file(options[name], force=force)
        command(*arguments, **options)

    return add_options(checked, _JSON)


def _check_output_file(path: Path, *, force: bool) -> None:
    """Raise StorageError if `path` can't be written, or is a file and `force` is not set.

    Devices and pipes are accepted.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder", "pass the name of a file")
    if path.is_file() and not force:
        raise StorageError(f"{path} already exists", "pass --force to replace it, or choose another name")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not path.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise StorageError(f"cannot write {path}: {folder} is not a writable folder", "choose another path")


@dataclass(frozen=True)
class DataOptions:
    """The data set as the user requests it."""

    path: Path | None  # None: MNIST
    resize: Resize | None
    split_seed: int

    def load(
        self, progress: Progress, image_shape: tuple[int, int, int] | None = None, labels: tuple[str, ...] = ()
    ) -> Dataset:
        """The data set; pictures are decoded to `image_shape`, and their folders are in the order of `labels`."""
        from mnistkit.data import dataset, mnist
        from mnistkit.data.folder import FolderOptions

        if not self.path:
            return mnist.load(progress)
        return dataset.load(self.path, FolderOptions(image_shape, self.resize, labels, self.split_seed), progress)


def data(command: Command) -> Command:
    """The options that select the data set, as one argument `data`, a DataOptions."""

    @functools.wraps(command)
    def with_data(*arguments: Any, data: Path | None, resize: Resize | None, split_seed: int, **options: Any) -> None:
        command(*arguments, data=DataOptions(data, resize, split_seed), **options)

    return add_options(with_data, _DATA)
