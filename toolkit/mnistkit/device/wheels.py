"""The wheels of the runtimes that existed on the date of wheels.json: boards do not query a package index."""

import functools
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from mnistkit.core import records
from mnistkit.core.cpu import this_cpu

TABLE = Path(__file__).with_name("wheels.json")


@dataclass(frozen=True)
class Wheel:
    """The newest wheel of a package for a Python and an architecture."""

    distribution: str
    version: str
    python: str  # such as "3.13"
    architecture: str  # such as "aarch64"
    glibc: str  # the oldest supported version, such as "2.27"


@dataclass(frozen=True)
class Wheels(records.Record, schema="wheels", version=1):
    """The table of known wheels."""

    date: str  # of the query, as YYYY-MM-DD
    wheels: tuple[Wheel, ...]


@dataclass(frozen=True)
class WheelPlatform:
    """The platform that a wheel must fit."""

    python: str  # such as "3.13"
    architecture: str  # of the userland
    glibc: str  # "" for another C library


def this_platform() -> WheelPlatform:
    """The platform of this Python."""
    name, version = platform.libc_ver()
    return WheelPlatform(
        python="{}.{}".format(*sys.version_info),
        architecture=this_cpu().architecture,
        glibc=version if name == "glibc" else "",
    )


@functools.cache
def known_wheels() -> tuple[Wheel, ...]:
    """The wheels in wheels.json."""
    return records.read(TABLE, Wheels, "install mnistkit again").wheels


def find(distribution: str, target: WheelPlatform) -> Wheel | None:
    """The newest wheel of a package that fits; None if there is none."""
    wheels = (wheel for wheel in known_wheels() if wheel.distribution == distribution)
    return next((wheel for wheel in wheels if _fits(wheel, target)), None)


def explain_missing(distribution: str, target: WheelPlatform) -> str:
    """Why no wheel of a package fits the platform."""
    wheels = [wheel for wheel in known_wheels() if wheel.distribution == distribution]
    for_architecture = [wheel for wheel in wheels if wheel.architecture == target.architecture]
    if not for_architecture:
        return f"no wheel for {target.architecture}"
    for_python = [wheel for wheel in for_architecture if wheel.python == target.python]
    if not for_python:
        pythons = sorted({wheel.python for wheel in for_architecture}, key=_numbers)
        return f"no wheel for Python {target.python}, only for {', '.join(pythons)}"
    if not target.glibc:
        return "no wheel for a C library other than glibc"
    return f"no wheel for glibc {target.glibc}, only for {for_python[0].glibc} and later"


def _fits(wheel: Wheel, target: WheelPlatform) -> bool:
    same = (wheel.python, wheel.architecture) == (target.python, target.architecture)
    return same and bool(target.glibc) and _numbers(target.glibc) >= _numbers(wheel.glibc)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
