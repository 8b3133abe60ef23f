"""What tests import; what they are given stands in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BRIEFLY = "--seconds", "0.1", "--processes", "1"  # of bench, where its figures are of no interest


@dataclass(frozen=True)
class Result:
    """What a command line came to."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]
