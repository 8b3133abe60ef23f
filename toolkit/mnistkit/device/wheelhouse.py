"""The wheels that a board needs, fetched on the workstation: for boards without internet."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.errors import WheelError
from mnistkit.core.progress import SILENT, Progress

GLIBC = {"3.11": 36, "3.13": 41}  # the minor versions, by the Python of Raspberry Pi OS bookworm and trixie
OLD_TAGS = "manylinux2014", "linux"
REQUIREMENT = re.compile(r"""(?P<package>[\w.-]+)[^;]*(;.*extra *== *['"](?P<extra>[\w-]+)['"])?""")
PIP = "download", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"


@dataclass(frozen=True)
class Target:
    """A kind of board, by what its wheels must fit."""

    architecture: str
    extra: str  # of mnistkit, which brings its runtimes
    pythons: tuple[str, ...] = tuple(GLIBC)
    from_system: tuple[str, ...] = ()  # packages without a wheel, which apt brings
    alone: tuple[str, ...] = ()  # those that would ask for them


SIXTY_FOUR_BITS = Target("aarch64", "device")
TARGETS = {
    "pi3": SIXTY_FOUR_BITS,
    "pi4": SIXTY_FOUR_BITS,
    "pi5": SIXTY_FOUR_BITS,
    "pi-32bit": Target("armv7l", "tflite-runtime", ("3.11",), from_system=("numpy",), alone=("tflite-runtime",)),
}


def fetch(target: Target, pythons: tuple[str, ...], folder: Path, progress: Progress = SILENT) -> list[Path]:
    """Put all that mnistkit needs on a board of that kind, but for mnistkit itself, into `folder`; the wheels, by name.

    pip gets them, from the index that it is set up with. Raises WheelError where it can't, StorageError where they
    can't be written.
    """
    if not importlib.util.find_spec("pip"):
        raise WheelError(
            "pip, which fetches wheels, is not installed here", "python -m ensurepip, or uv pip install pip"
        )
    if unknown := set(pythons) - set(target.pythons):
        raise WheelError(
            f"no runtime has a wheel for {target.architecture} and Python {', '.join(sorted(unknown))}",
            f"choose Python {' or '.join(target.pythons)}",
        )
    together, alone = requirements(target)
    with tempfile.TemporaryDirectory() as scratch, progress.task("fetching wheels", len(pythons)) as advance:
        for python in pythons:
            _download(together, target, python, scratch)
            if alone:
                _download([*alone, "--no-deps"], target, python, scratch)
            advance(1)
        return _moved(sorted(Path(scratch).glob("*.whl")), folder)


def requirements(target: Target) -> tuple[list[str], list[str]]:
    """What mnistkit's own metadata asks for there: what is fetched with all that it asks for itself, and what alone."""
    needed = {}
    for requirement in metadata.requires("mnistkit") or ():
        found = REQUIREMENT.match(requirement)
        if found and found["extra"] in {None, target.extra} and found["package"] not in target.from_system:
            needed[found["package"]] = requirement.partition(";")[0].strip()
    alone = [needed.pop(package) for package in target.alone]
    return list(needed.values()), alone


def _download(wanted: list[str], target: Target, python: str, folder: str) -> None:
    glibc = [f"manylinux_2_{minor}" for minor in range(17, GLIBC[python] + 1)]
    place = [f"--platform={tag}_{target.architecture}" for tag in (*glibc, *OLD_TAGS)]
    command = [sys.executable, "-m", "pip", *PIP, f"--python-version={python}", f"--dest={folder}", *place, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), done.stderr)
        raise WheelError(
            f"pip finds no wheels for {target.architecture} and Python {python}: {' '.join(reason.split())[:200]}",
            "see whether pip reaches its index here",
        )


def _moved(wheels: Iterable[Path], folder: Path) -> list[Path]:
    """The wheels in that folder, each whole or not there."""
    moved = []
    for wheel in wheels:
        with files.atomic_file(folder / wheel.name) as temporary:
            shutil.copyfile(wheel, temporary)
        moved.append(folder / wheel.name)
    return moved
