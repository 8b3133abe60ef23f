"""What `verify` and `compare` found, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from mnistkit.cli.tables import percent, points, table, verdict
from mnistkit.cli.tables.images import blocks
from mnistkit.verify.paired import MAX_REQUIRED_IMAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from mnistkit.verify.parity import Flip, Parity
    from mnistkit.verify.report import ArtifactComparison, PredictionsComparison, UnmatchedArtifact, VerifyReport

NO_FLIPS = "no image was broken or mended"
SHOWN = 10  # images as blocks in a terminal
ON_A_SHEET = 100  # images in a picture

Flipped = Sequence[tuple[str, "Flip"]]  # by what: an artifact and a runtime


def verify_table(report: VerifyReport) -> Table:
    """One line an artifact and runtime."""
    sample = "" if report.seed is None else f", drawn by seed {report.seed}"
    grid = table(
        f"Parity with the original ({percent(report.original_accuracy)}) on {report.images:,} test images{sample}",
        ("artifact", "runtime"),
        ("accuracy", "points", "at worst", "flips", "verdict"),
        f"at worst: the lower end of the 95% interval, for a margin of -{report.margin:g}\n"
        "points: the difference; flips: images broken and mended",
    )
    for row in report.rows:
        figures = percent(row.parity.accuracy), *_difference(row.parity)
        grid.add_row(row.artifact, row.runtime, *figures, verdict(row.parity))
    return grid


def comparison_table(comparison: PredictionsComparison) -> Table:
    """One line a pairing."""
    grid = table(
        f"The second against the first, on {comparison.images:,} test images",
        ("artifact", "runtimes"),
        ("differ", "change", "points", "at worst", "flips", "verdict"),
        f"at worst: the lower end of the 95% interval, for a margin of -{comparison.margin:g}\n"
        "differ: images with another probability; change: the largest; points: the difference; flips: broken, mended",
    )
    for pairing in comparison.artifacts:
        steps = "" if pairing.largest_steps is None else f" ({pairing.largest_steps})"
        first, second = pairing.runtimes
        grid.add_row(
            pairing.artifact if pairing.same_file else f"{pairing.artifact} (files differ)",
            first if first == second else f"{first}, {second}",
            f"{pairing.images_differ:,}",
            f"{pairing.parity.max_difference:.2g}{steps}",
            *_difference(pairing.parity),
            verdict(pairing.parity),
        )
    return grid


def remarks(report: VerifyReport) -> list[str]:
    """A line for each reason why a row is no PASS, or could not be run, with the rows that it holds for."""
    judged = [(f"{row.artifact} on {row.runtime}", why(row.parity)) for row in report.rows if row.parity.reason]
    missing = [(f"{row.artifact} on {row.runtime}", f"not run: {row.problem}; {row.remedy}") for row in report.not_run]
    return _by_reason(judged + missing)


def comparison_remarks(comparison: PredictionsComparison) -> list[str]:
    """Whom the two recordings are of; a line for each reason why a pairing is no PASS, and for what has no pair."""
    sides = [f"{machine.cpu}, {machine.architecture}" for machine in comparison.machines]
    judged = [pairing for pairing in comparison.artifacts if pairing.parity.reason]
    alone = [
        (f"{row.artifact} on {row.runtime}", f"only in the {('first', 'second')[row.recording - 1]}{_because(row)}")
        for row in comparison.unmatched
    ]
    told = [(pairing_name(pairing), why(pairing.parity)) for pairing in judged]
    return [f"first: {sides[0]}; second: {sides[1]}", *_by_reason(told + alone)]


def pairing_name(pairing: ArtifactComparison) -> str:
    """The artifact, and the runtimes on which it answered."""
    return f"{pairing.artifact} on {' and '.join(dict.fromkeys(pairing.runtimes))}"


def _because(row: UnmatchedArtifact) -> str:
    return f": in the other {row.problem}" if row.problem else ""


def _by_reason(found: list[tuple[str, str]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for what, reason in found:
        reasons.setdefault(reason, []).append(what)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def why(parity: Parity) -> str:
    """Why it is no PASS, and what would help."""
    told = f"{parity.verdict}: {parity.reason}"
    if parity.verdict == "FAIL":
        return told
    if parity.required_images is None:
        return f"{told}; the loss is so near to the margin that not even {MAX_REQUIRED_IMAGES:,} images would settle it"
    return f"{told}; about {parity.required_images:,} images would settle it"


def flips_table(flipped: Flipped) -> Table:
    """One line an image and what broke or mended it."""
    grid = table("Images broken and mended", ("by", ""), ("index", "label", "before", "after"))
    for by, flip in flipped:
        answers = _answer(flip.original, flip.original_confidence), _answer(flip.artifact, flip.artifact_confidence)
        grid.add_row(by, "broken" if flip.is_regression else "mended", str(flip.index), str(flip.label), *answers)
    return grid


def flips_shown(flipped: Flipped, images: NDArray[np.uint8]) -> list[RenderableType]:
    """The table, and the first of the test `images` in it, in shades, each under a line on what was answered."""
    if not flipped:
        return [NO_FLIPS]
    pictured = _pictured(flipped)
    parts = [f"{_title(flip, ', ')}\n{blocks(images[flip.index])}" for flip in pictured[:SHOWN]]
    more = len(pictured) - SHOWN
    return [flips_table(flipped), *parts, *([f"and {more:,} more"] if more > 0 else [])]


def flips_for_grid(flipped: Flipped) -> tuple[list[int], list[str]]:
    """The indices of the images on a sheet, and their titles."""
    pictured = _pictured(flipped)[:ON_A_SHEET]
    return [flip.index for flip in pictured], [_title(flip, "\n") for flip in pictured]


def _pictured(flipped: Flipped) -> list[Flip]:
    """Each image and new answer once, by index: several artifacts may give it."""
    found = {(flip.index, flip.artifact): flip for _, flip in reversed(flipped)}
    return [found[key] for key in sorted(found)]


def _title(flip: Flip, between: str) -> str:
    before = _answer(flip.original, flip.original_confidence)
    return f"{flip.index}: {flip.label}{between}{before} → {_answer(flip.artifact, flip.artifact_confidence)}"


def _answer(label: int, confidence: float) -> str:
    return f"{label} {100 * confidence:.0f}%"


def _difference(parity: Parity) -> Iterable[str]:
    return points(parity.difference), points(parity.interval.low), f"-{parity.regressions} +{parity.fixes}"
