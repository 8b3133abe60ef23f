"""Judges recorded predictions: an artifact against the original model, and two recordings against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mnistkit.core import records
from mnistkit.core.errors import RecordError
from mnistkit.device.machine import Machine
from mnistkit.verify import parity
from mnistkit.verify.parity import Flip, Parity, Verdict
from mnistkit.verify.predictions import ArtifactRun, NotRun, Predictions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORST_FIRST: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE")


@dataclass(frozen=True)
class ArtifactResult:
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

    verdict: Verdict  # the worst of all rows; FAIL too where nothing ran, or something that was asked for by name
    bundle_sha256: str  # of its manifest, which vouches for the rest
    test_set_sha256: str  # of its images and labels
    images: int
    seed: int | None  # of the sample; None: these are all images
    original_accuracy: float  # on them
    margin: float
    rows: tuple[ArtifactResult, ...]
    not_run: tuple[NotRun, ...]
    machine: Machine
    versions: dict[str, str]


@dataclass(frozen=True)
class ArtifactComparison:
    """The same artifact in two recordings. The first stands where an original does: differences are second − first."""

    artifact: str
    runtimes: tuple[str, ...]  # of the two
    same_file: bool
    images_differ: int  # those for which any probability does
    largest_steps: int | None  # the largest change in steps of the stored output, where both are stored in the same
    parity: Parity
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class UnmatchedArtifact:
    """An artifact on a runtime that the other recording has no answers for."""

    artifact: str
    runtime: str
    recording: int  # 1 or 2, which has them
    problem: str  # why the other has not; empty where it doesn't say


@dataclass(frozen=True)
class PredictionsComparison(records.Record):
    """What `compare` found."""

    schema: ClassVar[str] = "comparison"
    version: ClassVar[int] = 1

    verdict: Verdict  # the worst of all pairings
    machines: tuple[Machine, ...]  # of the two recordings
    versions: tuple[dict[str, str], ...]
    images: int  # that both answered
    margin: float
    artifacts: tuple[ArtifactComparison, ...]
    unmatched: tuple[UnmatchedArtifact, ...]


def evaluate(predictions: Predictions, margin: float) -> VerifyReport:
    """Each row against the original model, at `margin` percentage points."""
    record, original, labels = predictions.record, predictions.reference, predictions.labels
    rows = tuple(
        ArtifactResult(
            artifact=row.artifact,
            runtime=row.runtime,
            seconds=row.seconds,
            parity=parity.compare(original, answers, labels, margin, _tolerance(row)),
            flips=parity.flips(original, answers, labels, predictions.indices),
        )
        for row, answers in zip(record.rows, predictions.probabilities, strict=True)
    )
    lacking = not rows or any(row.requested for row in record.not_run)
    return VerifyReport(
        verdict="FAIL" if lacking else _worst(row.parity for row in rows),
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


def compare(first: Predictions, second: Predictions, margin: float) -> PredictionsComparison:
    """Hold the second recording against the first, artifact by artifact, on the images that both answered.

    An artifact is paired on the same runtime; where the two have none in common, on all that they have. Raises
    RecordError where they share no images or no artifact.
    """
    first, second = _on_common_images(first, second)
    places = [
        (i, j)
        for i, one in enumerate(first.record.rows)
        for j, other in enumerate(second.record.rows)
        if one.artifact == other.artifact and _belong(one, other, first, second)
    ]
    if not places:
        raise RecordError("the two have no artifact in common", "save the predictions of the same bundle")
    artifacts = tuple(_pairing(first, second, i, j, margin) for i, j in places)
    return PredictionsComparison(
        verdict=_worst(pairing.parity for pairing in artifacts),
        machines=(first.record.machine, second.record.machine),
        versions=(first.record.versions, second.record.versions),
        images=len(first.labels),
        margin=margin,
        artifacts=artifacts,
        unmatched=(
            *_unpaired(1, first, second, {i for i, _ in places}),
            *_unpaired(2, second, first, {j for _, j in places}),
        ),
    )


def _worst(found: Iterable[Parity]) -> Verdict:
    """FAIL before INCONCLUSIVE before PASS."""
    verdicts: set[Verdict] = {each.verdict for each in found}
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), "PASS")


def _tolerance(*rows: ArtifactRun) -> float | None:
    return parity.FLOAT32_TOLERANCE if all(row.quantization == "float32" for row in rows) else None


def _on_common_images(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    import numpy as np

    if _test_set(first) != _test_set(second):
        raise RecordError("the two were made on different test sets", "verify the same bundle, or both with its data")
    _, here, there = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
    if not len(here):
        raise RecordError("the two have no image in common", "save them without --limit, or with the same --seed")
    first, second = _only(first, here), _only(second, there)
    if (first.labels != second.labels).any():
        raise RecordError("the two disagree about the labels", "save them again")
    return first, second


def _test_set(predictions: Predictions) -> tuple[str, int]:
    """Which images, and how many classes there are."""
    return predictions.record.test_set_sha256, predictions.reference.shape[1]


def _only(predictions: Predictions, places: NDArray[np.intp]) -> Predictions:
    if len(places) == len(predictions.labels):  # all of them, in order
        return predictions
    return Predictions(
        predictions.record,
        predictions.indices[places],
        predictions.labels[places],
        predictions.reference[places],
        predictions.probabilities[:, places],
    )


def _belong(one: ArtifactRun, other: ArtifactRun, first: Predictions, second: Predictions) -> bool:
    if one.runtime == other.runtime:
        return True
    runtimes = [{row.runtime for row in side.record.rows if row.artifact == one.artifact} for side in (first, second)]
    return not runtimes[0] & runtimes[1]


def _unpaired(number: int, here: Predictions, there: Predictions, paired: set[int]) -> Iterator[UnmatchedArtifact]:
    problems = {(row.artifact, row.runtime): row.problem for row in there.record.not_run}
    for place, row in enumerate(here.record.rows):
        if place not in paired:
            yield UnmatchedArtifact(row.artifact, row.runtime, number, problems.get((row.artifact, row.runtime), ""))


def _pairing(first: Predictions, second: Predictions, i: int, j: int, margin: float) -> ArtifactComparison:
    one, other = first.record.rows[i], second.record.rows[j]
    before, after = first.probabilities[i], second.probabilities[j]
    found = parity.compare(before, after, first.labels, margin, _tolerance(one, other))
    steps = found.max_difference / one.step if one.step and one.step == other.step else math.nan
    return ArtifactComparison(
        artifact=one.artifact,
        runtimes=(one.runtime, other.runtime),
        same_file=one.artifact_sha256 == other.artifact_sha256,
        images_differ=int((before != after).any(axis=1).sum()),
        largest_steps=round(steps) if math.isfinite(steps) else None,
        parity=found,
        flips=parity.flips(before, after, first.labels, first.indices),
    )
