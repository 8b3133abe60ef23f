"""Which wheels of the runtimes there are, as of the day that wheels.json was made: on a board nobody asks an index."""

from __future__ import annotations

import functools
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mnistkit.core import records

TABLE = Path(__file__).with_name("wheels.json")
USERLANDS = {("aarch64", 32): "armv7l", ("x86_64", 32): "i686"}  # what a 64-bit kernel runs there


@dataclass(frozen=True)
class Wheel:
    """The newest wheel of a package for a Python and an architecture."""

    distribution: str
    version: str
    python: str  # "3.13"
    architecture: str  # "aarch64"
    glibc: str  # the oldest that it runs with, "2.27"


@dataclass(frozen=True)
class Wheels(records.Record):
    """All that were found."""

    schema: ClassVar[str] = "wheels"
    version: ClassVar[int] = 1

    made: str  # the day
    wheels: tuple[Wheel, ...]


@dataclass(frozen=True)
class WheelPlatform:
    """What a wheel must fit."""

    python: str
    architecture: str  # of the userland
    glibc: str  # "" where it is another libc


def this_platform() -> WheelPlatform:
    """This Python's."""
    name, version = platform.libc_ver()
    machine = platform.machine()
    return WheelPlatform(
        python="{}.{}".format(*sys.version_info),
        architecture=USERLANDS.get((machine, 8 * struct.calcsize("P")), machine),
        glibc=version if name == "glibc" else "",
    )


@functools.cache
def known_wheels() -> tuple[Wheel, ...]:
    """The table."""
    return records.read(TABLE, Wheels, "install mnistkit again").wheels


def find(distribution: str, place: WheelPlatform) -> Wheel | None:
    """The newest wheel of a package that fits."""
    return next((wheel for wheel in known_wheels() if wheel.distribution == distribution and _fits(wheel, place)), None)


def explain_missing(distribution: str, place: WheelPlatform) -> str:
    """What keeps it from having a wheel that fits."""
    there = [wheel for wheel in known_wheels() if wheel.distribution == distribution]
    fitting = [wheel for wheel in there if wheel.architecture == place.architecture]
    if not fitting:
        return f"no wheel for {place.architecture}"
    for_python = [wheel for wheel in fitting if wheel.python == place.python]
    if not for_python:
        pythons = sorted({wheel.python for wheel in fitting}, key=_numbers)
        return f"no wheel for Python {place.python}, only for {', '.join(pythons)}"
    if not place.glibc:
        return "no wheel for this libc, which is not glibc"
    return f"its wheel needs glibc {for_python[0].glibc}, and this is {place.glibc}"


def _fits(wheel: Wheel, place: WheelPlatform) -> bool:
    same = (wheel.python, wheel.architecture) == (place.python, place.architecture)
    return same and bool(place.glibc) and _numbers(place.glibc) >= _numbers(wheel.glibc)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
