"""Writes toolkit/mnistkit/wheels.json: which wheels of the runtimes pip finds for each Python and architecture.

    python tools/known_wheels.py

It asks the index that pip is set up with, and installs nothing.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import subprocess
import sys

from mnistkit.cli import terminal
from mnistkit.core import records
from mnistkit.device.wheels import TABLE, Wheel, Wheels
from mnistkit.runtimes import RUNTIMES

PYTHONS = "3.11", "3.12", "3.13", "3.14"
ARCHITECTURES = "aarch64", "armv7l", "x86_64"
NEWEST_GLIBC = 41  # 2.41: Debian trixie's
OLD_NAMES = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
TAG = re.compile(r"(manylinux\d+|manylinux_2_(\d+))_(\w+?)(?=\.manylinux|\.whl)")


def platforms(architecture: str) -> list[str]:
    """Every tag of a wheel for it that a Linux of today takes."""
    modern = [f"manylinux_2_{minor}" for minor in range(5, NEWEST_GLIBC + 1)]
    return [f"--platform={name}_{architecture}" for name in (*modern, *OLD_NAMES, "linux")]


def newest(distribution: str, python: str, architecture: str) -> Wheel | None:
    """The wheel that pip would install; None where it finds none."""
    options = "--dry-run", "--quiet", "--report=-", "--no-deps", "--ignore-installed", "--only-binary=:all:"
    place = "--target=none", f"--python-version={python}", *platforms(architecture)
    command = [sys.executable, "-m", "pip", "install", *options, *place, distribution]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "No matching distribution" not in done.stderr:
            raise SystemExit(done.stderr)
        return None
    (found,) = json.loads(done.stdout)["install"]
    if (
        not found["metadata"]["version"].replace(".", "").isdecimal()
    ):  # pip takes a release candidate where there's no other
        return None
    glibc = oldest_glibc(found["download_info"]["url"])
    return Wheel(distribution, found["metadata"]["version"], python, architecture, f"2.{glibc}")


def oldest_glibc(name: str) -> int:
    """The minor version of the oldest glibc that a wheel of that name takes."""
    return min(int(minor) if minor else OLD_NAMES[old] for old, minor, _ in TAG.findall(name))


def main() -> None:
    """Write the table."""
    distributions = [runtime.distribution for runtime in RUNTIMES.values()]
    places = list(itertools.product(distributions, PYTHONS, ARCHITECTURES))
    with terminal.Terminal().task("asking pip for wheels", len(places)) as advance:
        found = []
        for place in places:
            found.append(newest(*place))
            advance(1)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    records.write(TABLE, Wheels(today, tuple(wheel for wheel in found if wheel)))


if __name__ == "__main__":
    main()
