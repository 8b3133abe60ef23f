"""What to say where a package of an extra is not installed."""

from __future__ import annotations

import sys

from mnistkit.errors import MissingExtraError, MnistkitError, UnsupportedPythonError
from mnistkit.pythons import NEWEST_FOR_TENSORFLOW


def missing(what: str, extra: str) -> MnistkitError:
    """The error for an absent `what`: the pip command that brings it, or that there is none for this Python."""
    running = sys.version_info[:2]
    if extra == "train" and running > NEWEST_FOR_TENSORFLOW:
        newest = ".".join(map(str, NEWEST_FOR_TENSORFLOW))
        return UnsupportedPythonError(
            f"{what} is not installed, and TensorFlow has no wheel for Python {running[0]}.{running[1]}",
            f"train and export under Python {newest}; verify and bench work here",
        )
    return MissingExtraError(f"{what} is not installed", install(extra))


def install(extra: str) -> str:
    """The pip command that brings an extra."""
    return f"pip install 'mnistkit[{extra}]'"
