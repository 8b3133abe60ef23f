"""Judges recorded predictions: an artifact against the original model, and two recordings against each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mnistkit import parity, records
from mnistkit.errors import RecordError
from mnistkit.machine import Machine
from mnistkit.parity import Flip, Parity
from mnistkit.predictions import NotRun, Predictions
from mnistkit.predictions import Row as Answered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORST_FIRST: tuple[parity.Verdict, ...] = ("FAIL", "INCONCLUSIVE")


@dataclass(frozen=True)
class Row:
    """One artifact on one runtime."""

    artifact: str
    runtime: str
    seconds: float  # from opening the artifact to the last answer
    parity: Parity
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class VerifyReport(records.Record):
    """What `verify` found."""

    schema: ClassVar[str] = "verify"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    test_set_sha256: str  # of its images and labels
    images: int
    seed: int | None  # of the sample; None: these are all images
    original_accuracy: float  # on them
    margin: float
    rows: tuple[Row, ...]
    not_run: tuple[NotRun, ...]
    machine: Machine
    versions: dict[str, str]

    @property
    def verdict(self) -> parity.Verdict:
        """The worst of all rows; FAIL too where nothing ran, or something didn't that was asked for by name."""
        if not self.rows or any(row.asked for row in self.not_run):
            return "FAIL"
        return worst(row.parity for row in self.rows)


@dataclass(frozen=True)
class Pairing:
    """The same artifact in two recordings. The first stands where an original does: differences are second − first."""

    artifact: str
    runtimes: tuple[str, ...]  # of the two
    same_file: bool
    rows_differ: int  # images for which any probability differs
    largest_step: float  # in probability
    quantization_steps: int | None  # the same in steps of the stored output, where both are stored in the same
    labels_flip: int
    parity: Parity
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Comparison(records.Record):
    """What `compare` found."""

    schema: ClassVar[str] = "comparison"
    version: ClassVar[int] = 1

    machines: tuple[Machine, ...]  # of the two recordings
    versions: tuple[dict[str, str], ...]
    images: int  # that both answered
    margin: float
    pairings: tuple[Pairing, ...]

    @property
    def verdict(self) -> parity.Verdict:
        """The worst of all pairings."""
        return worst(pairing.parity for pairing in self.pairings)


def worst(found: Iterable[Parity]) -> parity.Verdict:
    """FAIL before INCONCLUSIVE before PASS."""
    verdicts: set[parity.Verdict] = {each.verdict for each in found}
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), "PASS")


def judge(predictions: Predictions, margin: float) -> VerifyReport:
    """Each row against the original model, at `margin` percentage points."""
    record, original, labels = predictions.record, predictions.original, predictions.labels
    rows = tuple(
        Row(
            artifact=row.artifact,
            runtime=row.runtime,
            seconds=row.seconds,
            parity=parity.compare(original, answers, labels, margin, _tolerance(row)),
            flips=parity.flips(original, answers, labels, predictions.indices),
        )
        for row, answers in zip(record.rows, predictions.answers, strict=True)
    )
    return VerifyReport(
        bundle_sha256=record.bundle_sha256,
        test_set_sha256=record.test_set_sha256,
        images=len(labels),
        seed=record.seed,
        original_accuracy=float((original.argmax(axis=1) == labels).mean()),
        margin=margin,
        rows=rows,
        not_run=record.not_run,
        machine=record.machine,
        versions=record.versions,
    )


def compare(first: Predictions, second: Predictions, margin: float) -> Comparison:
    """Hold the second recording against the first, artifact by artifact, on the images that both answered.

    An artifact is paired on the same runtime; where the two have none in common, on all that they have. Raises
    RecordError where they share no images or no artifact.
    """
    import numpy as np

    if _test_set(first) != _test_set(second):
        raise RecordError("the two were made on different test sets", "verify the same bundle, or both with its data")
    _, here, there = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
    if not len(here):
        raise RecordError("the two have no image in common", "save them without --limit, or with the same --seed")
    first, second = _only(first, here), _only(second, there)
    if (first.labels != second.labels).any():
        raise RecordError("the two disagree about the labels", "save them again")
    pairings = tuple(
        _pairing(first, second, i, j, margin)
        for i, one in enumerate(first.record.rows)
        for j, other in enumerate(second.record.rows)
        if one.artifact == other.artifact and _belong(one, other, first, second)
    )
    if not pairings:
        raise RecordError("the two have no artifact in common", "save the predictions of the same bundle")
    return Comparison(
        machines=(first.record.machine, second.record.machine),
        versions=(first.record.versions, second.record.versions),
        images=len(here),
        margin=margin,
        pairings=pairings,
    )


def _tolerance(row: Answered) -> float | None:
    return parity.FLOAT32_TOLERANCE if row.quantization == "float32" else None


def _test_set(predictions: Predictions) -> tuple[str, int]:
    """Which images, and how many classes there are."""
    return predictions.record.test_set_sha256, predictions.original.shape[1]


def _only(predictions: Predictions, places: NDArray[np.intp]) -> Predictions:
    return Predictions(
        predictions.record,
        predictions.indices[places],
        predictions.labels[places],
        predictions.original[places],
        predictions.answers[:, places],
    )


def _belong(one: Answered, other: Answered, first: Predictions, second: Predictions) -> bool:
    if one.runtime == other.runtime:
        return True
    runtimes = [{row.runtime for row in side.record.rows if row.artifact == one.artifact} for side in (first, second)]
    return not runtimes[0] & runtimes[1]


def _pairing(first: Predictions, second: Predictions, i: int, j: int, margin: float) -> Pairing:
    one, other = first.record.rows[i], second.record.rows[j]
    before, after = first.answers[i], second.answers[j]
    found = parity.compare(before, after, first.labels, margin)
    steps = round(found.largest_change / one.step) if one.step and one.step == other.step else None
    return Pairing(
        artifact=one.artifact,
        runtimes=(one.runtime, other.runtime),
        same_file=one.artifact_sha256 == other.artifact_sha256,
        rows_differ=int((before != after).any(axis=1).sum()),
        largest_step=found.largest_change,
        quantization_steps=steps,
        labels_flip=int((before.argmax(axis=1) != after.argmax(axis=1)).sum()),
        parity=found,
        flips=parity.flips(before, after, first.labels, first.indices),
    )
