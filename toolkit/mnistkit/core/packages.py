"""Installed packages: their versions, and the pip command for those that are missing."""

import importlib
import platform
import sys
from typing import Any

from mnistkit.core.errors import MissingExtraError
from mnistkit.core.python_versions import NEWEST_FOR_TENSORFLOW


def missing_package(name: str, extra: str) -> MissingExtraError:
    """The error for a package that is not installed: the pip command, or that this Python has no wheel for it."""
    running = sys.version_info[:2]
    if extra == "train" and running > NEWEST_FOR_TENSORFLOW:
        newest = ".".join(map(str, NEWEST_FOR_TENSORFLOW))
        return MissingExtraError(
            f"{name} is not installed, and TensorFlow has no wheel for Python {running[0]}.{running[1]}",
            f"train and export with Python {newest}; verify and bench work with this one",
        )
    return MissingExtraError(f"{name} is not installed", install_command(extra))


def import_module(name: str, extra: str) -> Any:
    """Import a module that an extra installs; raises MissingExtraError if it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), extra) from error


def install_command(extra: str) -> str:
    """The pip command that installs an extra."""
    return f"pip install 'mnistkit[{extra}]'"


def installed_versions(*packages: str) -> dict[str, str]:
    """The version of Python and of each named package that is installed."""
    return {"python": platform.python_version()} | package_versions(*packages)


def package_versions(*packages: str) -> dict[str, str]:
    """The version of each named package that is installed."""
    from importlib import metadata  # imports the email parser, which worker processes don't need

    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
