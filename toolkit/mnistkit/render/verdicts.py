"""What `verify` and `compare` found, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from mnistkit.render import blocks, percent, points, table, verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from mnistkit.parity import Flip, Parity
    from mnistkit.verification import Comparison, VerifyReport

SHOWN = 10  # images as blocks in a terminal
ON_A_SHEET = 100  # images in a picture

Flipped = Sequence[tuple[str, "Flip"]]  # by what: an artifact and a runtime


def verify_table(report: VerifyReport) -> Table:
    """One line an artifact and runtime."""
    sample = "" if report.seed is None else f", drawn by seed {report.seed}"
    grid = table(
        f"Parity with the original ({percent(report.original_accuracy)}) on {report.images:,} test images{sample}",
        ("artifact", "runtime"),
        ("accuracy", "difference", "95% interval", "flips", "verdict"),
        f"difference in points; flips: images broken and mended; the margin is {report.margin:g} points",
    )
    for row in report.rows:
        figures = percent(row.parity.accuracy), *_difference(row.parity)
        grid.add_row(row.artifact, row.runtime, *figures, verdict(row.parity))
    return grid


def comparison_table(comparison: Comparison) -> Table:
    """One line a pairing."""
    grid = table(
        f"The second against the first, on {comparison.images:,} test images",
        ("artifact", "runtimes"),
        ("differ", "step", "difference", "95% interval", "flips", "verdict"),
        f"differ: rows that do, at all; step: the largest of a probability; the margin is {comparison.margin:g} points",
    )
    for pairing in comparison.pairings:
        steps = "" if pairing.quantization_steps is None else f" ({pairing.quantization_steps})"
        first, second = pairing.runtimes
        grid.add_row(
            pairing.artifact if pairing.same_file else f"{pairing.artifact} (files differ)",
            first if first == second else f"{first}, {second}",
            f"{pairing.rows_differ:,}",
            f"{pairing.largest_step:.2g}{steps}",
            *_difference(pairing.parity),
            verdict(pairing.parity),
        )
    return grid


def remarks(report: VerifyReport) -> list[str]:
    """A line for each reason why a row is no PASS, or could not be run, with the rows that it holds for."""
    judged = [(f"{row.artifact} on {row.runtime}", why(row.parity)) for row in report.rows if row.parity.reason]
    missing = [(f"{row.artifact} on {row.runtime}", f"not run: {row.problem}; {row.remedy}") for row in report.not_run]
    return _by_reason(judged + missing)


def comparison_remarks(comparison: Comparison) -> list[str]:
    """A line for each reason why a pairing is no PASS."""
    judged = [pairing for pairing in comparison.pairings if pairing.parity.reason]
    return _by_reason([(pairing.artifact, why(pairing.parity)) for pairing in judged])


def _by_reason(found: list[tuple[str, str]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for what, reason in found:
        reasons.setdefault(reason, []).append(what)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def why(parity: Parity) -> str:
    """Why it is no PASS, and what would help."""
    told = f"{parity.verdict}: {parity.reason} (McNemar's p = {parity.p_value:.2g})"
    if parity.verdict == "FAIL":
        return told
    if parity.images_to_settle is None:
        return f"{told}; no number of images would settle it, for the loss is as large as the margin"
    return f"{told}; about {parity.images_to_settle:,} images would settle it"


def flips_table(flipped: Flipped) -> Table:
    """One line an image and what broke or mended it."""
    grid = table("Images broken and mended", ("by", ""), ("index", "label", "original", "artifact"))
    for by, flip in flipped:
        answers = _answer(flip.original, flip.original_confidence), _answer(flip.artifact, flip.artifact_confidence)
        grid.add_row(by, "broken" if flip.broken else "mended", str(flip.index), str(flip.label), *answers)
    return grid


def flips_shown(flipped: Flipped, images: NDArray[np.uint8]) -> list[RenderableType]:
    """The table, and the first of the test `images` in it, in shades, each under a line on what was answered."""
    if not flipped:
        return ["no image was broken or mended"]
    pictured = _pictured(flipped)
    parts = [f"{_title(flip, ', ')}\n{blocks(images[flip.index])}" for flip in pictured[:SHOWN]]
    more = len(pictured) - SHOWN
    return [flips_table(flipped), *parts, *([f"and {more:,} more"] if more > 0 else [])]


def flips_for_sheet(flipped: Flipped) -> tuple[list[int], list[str]]:
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
    interval = f"{points(parity.interval.low)} to {points(parity.interval.high)}"
    return points(parity.difference), interval, f"-{parity.broken} +{parity.mended}"
