"""Downloads the wheels that an offline board needs, on the workstation."""

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

GLIBC = {"3.11": 36, "3.13": 41}  # minor version of glibc for each Python: Raspberry Pi OS bookworm and trixie
LEGACY_TAGS = "manylinux2014", "linux"
REQUIREMENT = re.compile(r"""(?P<package>[\w.-]+)[^;]*(;.*extra *== *['"](?P<extra>[\w-]+)['"])?""")
PIP_DOWNLOAD = "download", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"


@dataclass(frozen=True)
class Target:
    """A kind of board that wheels are downloaded for."""

    architecture: str
    extra: str  # the extra of mnistkit that brings the runtimes
    pythons: tuple[str, ...] = tuple(GLIBC)
    system_packages: tuple[str, ...] = ()  # have no wheel: installed with apt
    without_dependencies: tuple[str, ...] = ()  # packages that depend on a system package


PI_64_BIT = Target("aarch64", "device")
PI_32_BIT = Target("armv7l", "tflite-runtime", ("3.11",), ("numpy",), ("tflite-runtime",))
TARGETS = {"pi3": PI_64_BIT, "pi4": PI_64_BIT, "pi5": PI_64_BIT, "pi-32bit": PI_32_BIT}


def fetch(target: Target, pythons: tuple[str, ...], folder: Path, progress: Progress = SILENT) -> list[Path]:
    """Download all dependencies of mnistkit for a kind of board into `folder`, and return the wheels by name.

    Uses pip and the index that it is configured with. Raises WheelError if pip is missing or can't download a wheel,
    StorageError if a wheel can't be written.
    """
    if not importlib.util.find_spec("pip"):
        raise WheelError("pip is not installed", "run 'python -m ensurepip' or 'uv pip install pip'")
    if unsupported := set(pythons) - set(target.pythons):
        raise WheelError(
            f"no runtime has a wheel for {target.architecture} and Python {', '.join(sorted(unsupported))}",
            f"choose Python {' or '.join(target.pythons)}",
        )
    with_dependencies, alone = requirements(target)
    with tempfile.TemporaryDirectory() as scratch, progress.task("downloading wheels", len(pythons)) as advance:
        for python in pythons:
            _download(with_dependencies, target, python, scratch)
            if alone:
                _download([*alone, "--no-deps"], target, python, scratch)
            advance(1)
        return _copy(sorted(Path(scratch).glob("*.whl")), folder)


def requirements(target: Target) -> tuple[list[str], list[str]]:
    """The requirements in mnistkit's metadata: those to download with their dependencies, and those without."""
    needed = {}
    for requirement in metadata.requires("mnistkit") or ():
        match = REQUIREMENT.match(requirement)
        if match and match["extra"] in {None, target.extra} and match["package"] not in target.system_packages:
            needed[match["package"]] = requirement.partition(";")[0].strip()
    alone = [needed.pop(package) for package in target.without_dependencies]
    return list(needed.values()), alone


def _download(packages: list[str], target: Target, python: str, folder: str) -> None:
    glibc_tags = [f"manylinux_2_{minor}" for minor in range(17, GLIBC[python] + 1)]
    platforms = [f"--platform={tag}_{target.architecture}" for tag in (*glibc_tags, *LEGACY_TAGS)]
    options = [*PIP_DOWNLOAD, f"--python-version={python}", f"--dest={folder}", *platforms]
    command = [sys.executable, "-m", "pip", *options, *packages]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        errors = [line for line in completed.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else completed.stderr
        raise WheelError(
            f"no wheels found for {target.architecture} and Python {python}: {' '.join(reason.split())[:200]}",
            "check that pip can reach its package index",
        )


def _copy(wheels: Iterable[Path], folder: Path) -> list[Path]:
    """Copy wheels to `folder`, each atomically."""
    copies = []
    for wheel in wheels:
        with files.atomic_file(folder / wheel.name) as temporary:
            shutil.copyfile(wheel, temporary)
        copies.append(folder / wheel.name)
    return copies
