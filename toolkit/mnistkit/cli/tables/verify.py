"""The results of `verify` and `compare`."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mnistkit.cli.tables import percent, points, table, verdict
from mnistkit.cli.tables.images import blocks
from mnistkit.cli.tables.remarks import reason_lines
from mnistkit.core.images import Images
from mnistkit.verify.paired import MAX_REQUIRED_IMAGES
from mnistkit.verify.parity import Flip, Parity
from mnistkit.verify.report import PredictionsComparison, UnmatchedArtifact, VerifyReport

MAX_TERMINAL_IMAGES = 10
MAX_PNG_IMAGES = 100
PARITY_COLUMNS = "difference", "95% CI lower", "flips", "verdict"

NamedFlips = Sequence[tuple[str, Flip]]  # flips, each with the names of its artifact and runtime


def verify_table(report: VerifyReport) -> Table:
    """One row for each artifact and runtime."""
    sample = "" if report.seed is None else f" (sample with seed {report.seed})"
    grid = table(
        f"Parity with the original ({percent(report.original_accuracy)}) on {report.images:,} test images{sample}",
        ("artifact", "runtime"),
        ("accuracy", *PARITY_COLUMNS),
        _parity_caption(report.margin),
    )
    for row in report.rows:
        grid.add_row(row.artifact, row.runtime, percent(row.parity.accuracy), *_parity_cells(row.parity))
    return grid


def comparison_table(comparison: PredictionsComparison) -> Table:
    """One row for each artifact and pair of runtimes."""
    grid = table(
        f"Parity of the second file with the first on {comparison.images:,} test images",
        ("artifact", "runtimes"),
        ("differing images", "max difference", *PARITY_COLUMNS),
        f"{_parity_caption(comparison.margin)}\n"
        "differing images: with a different probability; max difference: of a probability (in quantization steps)",
    )
    for row in comparison.artifacts:
        steps = "" if row.max_difference_steps is None else f" ({row.max_difference_steps})"
        grid.add_row(
            row.artifact if row.same_file else f"{row.artifact} (files differ)",
            ", ".join(dict.fromkeys(row.runtimes)),
            f"{row.differing_images:,}",
            f"{row.parity.max_difference:.2g}{steps}",
            *_parity_cells(row.parity),
        )
    return grid


def _parity_caption(margin: float) -> str:
    return (
        f"difference and the lower bound of its 95% CI in percentage points, margin {margin:g}\n"
        "flips: -regressions +fixes"
    )


def _parity_cells(parity: Parity) -> tuple[str | Text, ...]:
    flips = f"-{parity.regressions} +{parity.fixes}"
    return points(parity.difference), points(parity.interval.low), flips, verdict(parity)


def remarks(report: VerifyReport) -> list[str]:
    """One line for each reason why artifacts did not pass or did not run."""
    failed = [(row.name, explain(row.parity)) for row in report.rows if row.parity.reason]
    not_run = [(row.name, f"not run: {row.problem}; {row.remedy}") for row in report.not_run]
    return reason_lines(failed + not_run)


def comparison_remarks(comparison: PredictionsComparison) -> list[str]:
    """The machines of both files, then one line for each reason why artifacts did not pass or were not compared."""
    first, second = (f"{machine.cpu}, {machine.architecture}" for machine in comparison.machines)
    failed = [(row.name, explain(row.parity)) for row in comparison.artifacts if row.parity.reason]
    unmatched = [(row.name, _explain_unmatched(row)) for row in comparison.unmatched]
    return [f"first: {first}; second: {second}", *reason_lines(failed + unmatched)]


def _explain_unmatched(row: UnmatchedArtifact) -> str:
    file, other_file = ("first", "second") if row.file == 1 else ("second", "first")
    reason = f": not run in the {other_file}: {row.problem}" if row.problem else ""
    return f"only in the {file} file{reason}"


def explain(parity: Parity) -> str:
    """A verdict other than PASS, its reason, and the number of images that would decide an INCONCLUSIVE."""
    explanation = f"{parity.verdict}: {parity.reason}"
    if parity.verdict == "FAIL":
        return explanation
    if parity.required_images is None:
        return f"{explanation}; too close to the margin to decide with {MAX_REQUIRED_IMAGES:,} images"
    return f"{explanation}; about {parity.required_images:,} images would decide it"


def _flips_table(flips: NamedFlips) -> Table:
    """One row for each flip."""
    grid = table("Regressions and fixes", ("artifact", "flip"), ("index", "label", "reference", "prediction"))
    for name, flip in flips:
        reference, prediction = _predictions(flip)
        kind = "regression" if flip.is_regression else "fix"
        grid.add_row(name, kind, str(flip.index), str(flip.label), reference, prediction)
    return grid


def show_flips(flips: NamedFlips, images: Images | None = None) -> list[RenderableType]:
    """The table of flips, and the first of their test `images` as block characters if they are given."""
    if not flips:
        return ["no regressions or fixes"]
    if images is None:
        return [_flips_table(flips)]
    unique = _unique_flips(flips)
    pictures = [f"{_title(flip, ': ')}\n{blocks(images[flip.index])}" for flip in unique[:MAX_TERMINAL_IMAGES]]
    remaining = len(unique) - MAX_TERMINAL_IMAGES
    return [_flips_table(flips), *pictures, *([f"and {remaining:,} more"] if remaining > 0 else [])]


def flips_for_grid(flips: NamedFlips) -> tuple[list[int], list[str]]:
    """The indices and titles of the images for a PNG."""
    unique = _unique_flips(flips)[:MAX_PNG_IMAGES]
    return [flip.index for flip in unique], [_title(flip, "\n") for flip in unique]


def _unique_flips(flips: NamedFlips) -> list[Flip]:
    """The first flip of each image and predicted class, by index."""
    unique = {(flip.index, flip.artifact_label): flip for _, flip in reversed(flips)}
    return [unique[key] for key in sorted(unique)]


def _title(flip: Flip, separator: str) -> str:
    reference, prediction = _predictions(flip)
    return f"image {flip.index}, label {flip.label}{separator}{reference} → {prediction}"


def _predictions(flip: Flip) -> tuple[str, str]:
    """The class and the confidence predicted by the reference and by the artifact."""
    return (
        f"{flip.original_label} ({flip.original_confidence:.0%})",
        f"{flip.artifact_label} ({flip.artifact_confidence:.0%})",
    )
