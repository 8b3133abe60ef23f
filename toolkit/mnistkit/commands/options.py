"""Options and arguments that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mnistkit.errors import OptionError, StorageError

if TYPE_CHECKING:
    from mnistkit.data.dataset import Dataset
    from mnistkit.fleet.report import FleetReport
    from mnistkit.fleet.run import Fleet
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

NAME_BOARDS = "name boards with --on or --inventory"
_FLEET = (
    click.option(
        "--on", "targets", multiple=True, metavar="HOST", help="Do it on this board, as ssh names it (repeatable)."
    ),
    click.option("--inventory", type=PATH, metavar="FILE", help="Do it on the boards of an Ansible inventory."),
    click.option("--only", metavar="PATTERN", help="Only on those of them that fit; @failed: that failed last."),
    click.option("--wheel", type=PATH, metavar="FILE", help="The mnistkit to install there, instead of this one."),
    click.option("--wheelhouse", type=PATH, metavar="DIR", help="Install from these wheels, without internet there."),
    click.option("--keep", type=PATH, metavar="DIR", help="Keep what each board brings home, in a folder of its name."),
)


def fleet(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say on which boards, handed to the command as one argument; None: on this machine."""

    @functools.wraps(command)
    def with_fleet(
        *arguments: object,
        targets: tuple[str, ...],
        inventory: Path | None,
        only: str | None,
        wheel: Path | None,
        wheelhouse: Path | None,
        keep: Path | None,
        **others: object,
    ) -> None:
        given = None
        if targets and inventory:
            raise OptionError("--on and --inventory both name boards", "use one of them")
        if targets or inventory:
            from mnistkit.fleet.inventory import Boards
            from mnistkit.fleet.run import Fleet

            given = Fleet(Boards(targets, inventory, only), wheel, wheelhouse, keep)
        elif only or wheel or wheelhouse or keep:
            raise OptionError("--only, --wheel, --wheelhouse and --keep are for boards", NAME_BOARDS)
        command(*arguments, fleet=given, **others)

    decorated: Callable[..., None] = with_fleet
    for option in reversed(_FLEET):
        decorated = option(decorated)
    return decorated


def required(fleet: Fleet | None) -> Fleet:
    """The boards; raises OptionError where there are none."""
    if fleet is None:
        raise OptionError("there is no board", NAME_BOARDS)
    return fleet


def refuse_on_boards(ctx: click.Context, *names: str) -> None:
    """Raise OptionError where one of these parameters was given, which boards have no use for."""
    for parameter in ctx.command.params:
        given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in names:
            raise OptionError(f"{parameter.opts[0]} has no use with boards", "leave it out, or see --keep")


def deliver_fleet(report: FleetReport, json_path: Path | None, *, allow_inconclusive: bool = False) -> int:
    """Print what became of boards, and write it for machines; the exit code."""
    from mnistkit import console
    from mnistkit.render import boards

    spread = [boards.spread_table(report)] if report.spread else []
    console.deliver(report, json_path, boards.fleet_table(report), *spread, *boards.remarks(report))
    return exit_code(report.verdict, allow_inconclusive=allow_inconclusive)


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
