"""Lines of text that follow tables: what failed, what may be unstable, and why."""

from collections.abc import Iterable

from mnistkit.bench_report import Failure
from mnistkit.cli.tables import UNSTABLE


def failure_line(failure: Failure) -> str:
    """The artifact that was not measured, the reason and the remedy."""
    status = "not measured" if failure.skipped else "failed"
    return f"{status}: {failure.name}: {failure.problem}; {failure.remedy}"


def unstable_line(reason: str) -> str:
    """The warning that a measurement may be unstable."""
    return f"{UNSTABLE} WARNING: the result may be unstable: {reason}"


def names_by_reason(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The names for each reason in pairs of (name, reason), in order."""
    names: dict[str, list[str]] = {}
    for name, reason in pairs:
        names.setdefault(reason, []).append(name)
    return names


def reason_lines(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each reason in pairs of (name, reason), with the names it applies to."""
    return [f"{', '.join(names)}: {reason}" for reason, names in names_by_reason(pairs).items()]
