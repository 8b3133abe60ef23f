"""Writes toolkit/mnistkit/device/wheels.json: the wheels of the runtimes for each Python and architecture.

    python tools/known_wheels.py

Queries the package index that pip is configured with, and installs nothing.
"""

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
NEWEST_GLIBC = 41  # minor version: Debian trixie has 2.41
LEGACY_TAGS = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}  # minor version of glibc for each
TAG = re.compile(r"(manylinux\d+|manylinux_2_(\d+))_(\w+?)(?=\.manylinux|\.whl)")


def platforms(architecture: str) -> list[str]:
    """A pip option for each wheel tag that a current Linux supports."""
    glibc_tags = [f"manylinux_2_{minor}" for minor in range(5, NEWEST_GLIBC + 1)]
    return [f"--platform={tag}_{architecture}" for tag in (*glibc_tags, *LEGACY_TAGS, "linux")]


def newest(distribution: str, python: str, architecture: str) -> Wheel | None:
    """The wheel that pip would install; None if there is none."""
    options = "--dry-run", "--quiet", "--report=-", "--no-deps", "--ignore-installed", "--only-binary=:all:"
    target = "--target=none", f"--python-version={python}", *platforms(architecture)
    command = [sys.executable, "-m", "pip", "install", *options, *target, distribution]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        if "No matching distribution" not in completed.stderr:
            raise SystemExit(completed.stderr)
        return None
    (package,) = json.loads(completed.stdout)["install"]
    version = package["metadata"]["version"]
    if not version.replace(".", "").isdecimal():  # pip selects a release candidate if there is no release
        return None
    return Wheel(distribution, version, python, architecture, f"2.{oldest_glibc(package['download_info']['url'])}")


def oldest_glibc(wheel: str) -> int:
    """The minor version of the oldest glibc that the tags of a wheel's file name support."""
    return min(int(minor) if minor else LEGACY_TAGS[tag] for tag, minor, _ in TAG.findall(wheel))


def main() -> None:
    """Write the table."""
    distributions = [package for runtime in RUNTIMES.values() for package in runtime.packages]
    queries = list(itertools.product(distributions, PYTHONS, ARCHITECTURES))
    wheels = []
    with terminal.Terminal().task("querying the package index", len(queries)) as advance:
        for query in queries:
            wheels.append(newest(*query))
            advance(1)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    records.write(TABLE, Wheels(today, tuple(wheel for wheel in wheels if wheel)))


if __name__ == "__main__":
    main()
