"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnistkit.core.verdict import Verdict


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    CHECK_FAILED = 1
    INVALID_INPUT = 2  # usage, or a missing or corrupt file
    INCONCLUSIVE = 3  # too few images or samples to decide
    UNSTABLE = 4  # with `bench --strict`
    INTERNAL_ERROR = 70  # a bug in mnistkit
    INTERRUPTED = 130  # Ctrl-C


SIGNALED = 128  # plus the number of the signal that ended the command


def of_verdict(verdict: Verdict, *, allow_inconclusive: bool) -> ExitCode:
    """The exit code for a verdict."""
    if verdict == "INCONCLUSIVE":
        return ExitCode.OK if allow_inconclusive else ExitCode.INCONCLUSIVE
    return ExitCode.OK if verdict == "PASS" else ExitCode.CHECK_FAILED
