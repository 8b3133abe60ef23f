"""The results of `verify` and `compare`."""

import math
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mnistkit.cli.tables import percent, points, table, verdict_text
from mnistkit.cli.tables.images import blocks
from mnistkit.cli.tables.remarks import reason_lines
from mnistkit.core.images import Images
from mnistkit.verify.paired import MAX_REQUIRED_IMAGES, required_images, smallest_settled_margin
from mnistkit.verify.parity import Flip, Parity
from mnistkit.verify.report import CorruptedParity, Family, PredictionsComparison, UnmatchedArtifact, VerifyReport

MAX_TERMINAL_IMAGES = 10
MAX_PNG_IMAGES = 100
PARITY_COLUMNS = "difference", "passes at", "flips", "verdict"

NamedFlips = Sequence[tuple[str, Flip]]  # flips, each with the names of its artifact and runtime


def verify_tables(report: VerifyReport) -> list[Table]:
    """All tables of a report."""
    corruptions = [corruptions_table(report)] if report.corruptions else []
    return [verify_table(report), probabilities_table(report), *corruptions]


def verify_table(report: VerifyReport) -> Table:
    """One row for each artifact and runtime."""
    sample = "" if report.seed is None else f" (sample with seed {report.seed})"
    images = f"{report.images:,} test images{sample}"
    if report.sequential:
        images = f"as many test images as needed (seed {report.seed})"
    grid = table(
        f"Parity with the original ({percent(report.original_accuracy)}) on {images}",
        ("artifact", "runtime"),
        ("accuracy", *PARITY_COLUMNS, *(["images"] if report.sequential else [])),
        _parity_caption(report.margin),
    )
    for row in report.rows:
        count = [f"{row.parity.images:,}"] if report.sequential else []
        grid.add_row(row.artifact, row.runtime, percent(row.parity.accuracy), *_parity_cells(row.parity), *count)
    return grid


def probabilities_table(report: VerifyReport) -> Table:
    """How the predicted classes and probabilities of each row differ from the original's."""
    grid = table(
        "Predicted classes and probabilities, compared with the original's",
        ("artifact", "runtime"),
        ("label\nchanges", "KL\ndivergence", "ECE", "ECE\nchange", "Brier\nscore", "Brier\nchange"),
        "label changes: images with another predicted class, right or wrong\n"
        "KL divergence: in nats; ECE: expected calibration error in percent, change in points",
    )
    for column in grid.columns:
        column.vertical = "bottom"
    for row in report.rows:
        parity = row.parity
        grid.add_row(
            row.artifact,
            row.runtime,
            f"{parity.label_changes:,}",
            f"{parity.kl_divergence:.2g}",
            f"{100 * parity.ece:.2f}",
            points(100 * parity.ece_difference),
            f"{parity.brier:.4f}",
            f"{round(parity.brier_difference, 4) + 0.0:+.4f}",
        )
    return grid


def corruptions_table(report: VerifyReport) -> Table:
    """A row for each corruption and format, and a column for each quantization."""
    quantizations = list(dict.fromkeys(_quantization(row.artifact) for row in report.corruptions))
    grid = table(
        "Accuracy on corrupted images, compared with float32",
        ("corruption", "runtime"),
        ("float32", *quantizations),
        "differences in percentage points from the float32 artifact of the same format\n"
        "*: the whole 95% CI lies below the margin",
    )
    rows: dict[tuple[str, str], list[CorruptedParity]] = {}
    for row in report.corruptions:
        rows.setdefault((row.corruption, row.runtime), []).append(row)
    for (corruption, runtime), results in rows.items():
        cells = {_quantization(row.artifact): _corrupted_cell(row, report.margin) for row in results}
        grid.add_row(
            corruption,
            runtime,
            percent(results[0].reference_accuracy),
            *(cells.get(name, "") for name in quantizations),
        )
    return grid


def _quantization(artifact: str) -> str:
    return artifact.split(".")[1]


def _corrupted_cell(row: CorruptedParity, margin: float) -> Text:
    worse = row.interval.high < -margin
    return Text(points(row.difference) + ("*" if worse else ""), "bold red" if worse else "")


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
        f"difference, and smallest margin that it passes at, in percentage points; margin {margin:g}\n"
        "flips: -regressions +fixes"
    )


def _parity_cells(parity: Parity) -> tuple[str | Text, ...]:
    flips = f"-{parity.regressions} +{parity.fixes}"
    return points(parity.difference), f"{parity.smallest_margin:.2f}", flips, verdict_text(parity.verdict)


def remarks(report: VerifyReport) -> list[str]:
    """Why artifacts did not pass or did not run, and the error of all tests together."""
    return [*reasons(report), *family_remarks(report.family)]


def reasons(report: VerifyReport) -> list[str]:
    """One line for each reason why artifacts did not pass or did not run."""
    failed = [(row.name, explain(row.parity)) for row in report.rows if row.parity.reason]
    not_run = [(row.name, f"not run: {row.problem}; {row.remedy}") for row in report.not_run]
    return reason_lines(failed + not_run)


def family_remarks(family: Family) -> list[str]:
    """How likely it is that any of several tests passes wrongly."""
    if family.tests < 2:
        return []
    worse = f"{family.tests} tests at once: if artifacts are worse by the margin,"
    if family.holm:
        return [f"{worse} any of them passes with a probability of up to {family.error:.1%} (Holm's method)"]
    return [f"{worse} each passes with a probability of up to 2.5%, any with up to {family.error:.1%} (--holm: 2.5%)"]


def too_few_images(images: int, margin: float) -> str:
    """That so many images can't pass at this margin, and which they can settle; empty if they can."""
    smallest = 100 * smallest_settled_margin(images)
    if smallest < margin:
        return ""
    enough = required_images(0, 0, images, margin / 100)
    settled = math.ceil(100 * smallest) / 100
    remedy = f"pass --margin {settled:g} or more, or at least {enough:,} images"
    return f"{images:,} images can't pass at a margin of {margin:g} points, whatever they show: {remedy}"


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
    if parity.verdict == "FAIL" or parity.p_value is None:
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
