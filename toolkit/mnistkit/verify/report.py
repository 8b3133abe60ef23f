"""Evaluates predictions: artifacts against the original model, and two prediction files against each other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import ArtifactOnRuntime
from mnistkit.core import records
from mnistkit.core.errors import RecordError
from mnistkit.core.interval import Interval
from mnistkit.core.verdict import Verdict, worst_verdict
from mnistkit.device.machine import Machine
from mnistkit.verify import holm, parity
from mnistkit.verify.holm import family_wise_error
from mnistkit.verify.parity import Flip, Limits, Parity
from mnistkit.verify.predictions import ArtifactRun, NotRun, Predictions, PredictionsRecord


@dataclass(frozen=True)
class ArtifactResult(ArtifactOnRuntime):
    """The parity of an artifact on a runtime with the original model."""

    seconds: records.NonNegative  # to open the artifact and classify all images
    parity: Parity
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Family:
    """Tests that were made at once."""

    tests: records.Count
    holm: bool  # whether their verdicts are by Holm's method
    error: records.Share  # largest probability that any artifact passes although it is worse by the margin


@dataclass(frozen=True)
class CorruptedParity(ArtifactOnRuntime):
    """An artifact on corrupted images, compared with the float32 artifact of its format on the same images."""

    corruption: str
    reference_accuracy: records.Share  # of the float32 artifact
    accuracy: records.Share
    difference: records.Points  # in percentage points
    interval: Interval  # 95% CI of the difference, in percentage points


@dataclass(frozen=True)
class VerifyReport(records.Record, schema="verify", version=2):
    """The result of `verify`."""

    verdict: Verdict  # the worst of all rows; FAIL if no artifact ran, or one did not run on a requested runtime
    bundle_sha256: str  # SHA-256 of the manifest, which contains those of all files
    test_set_sha256: str  # SHA-256 of the images and labels
    images: records.Count  # the most that a row used
    seed: records.Count | None  # of the sample or of the random order; None if all images were used
    sequential: bool  # whether each row used as many images as its verdict took
    original_accuracy: records.Share  # on these images; if sequential, on the whole test set
    margin: records.NonNegative  # in percentage points
    family: Family
    rows: tuple[ArtifactResult, ...]
    not_run: tuple[NotRun, ...]
    corruptions: tuple[CorruptedParity, ...]  # empty if none was requested
    machine: Machine
    versions: dict[str, str]


@dataclass(frozen=True)
class ArtifactComparison:
    """An artifact in two prediction files. The first is the reference: differences are second − first."""

    artifact: str
    runtimes: tuple[str, ...]  # in the first file and in the second
    same_file: bool  # whether both ran the same artifact file, by its SHA-256
    differing_images: records.Count  # images for which a probability differs
    max_difference_steps: records.Count | None  # in steps of the output scale; None if the scales differ
    parity: Parity
    flips: tuple[Flip, ...]

    @property
    def name(self) -> str:
        """The name in messages."""
        return f"{self.artifact} on {' and '.join(dict.fromkeys(self.runtimes))}"


@dataclass(frozen=True)
class UnmatchedArtifact(ArtifactOnRuntime):
    """An artifact on a runtime that only one of two prediction files contains."""

    file: int  # that contains it: 1 or 2
    problem: str  # why it did not run in the other file; empty if unknown


@dataclass(frozen=True)
class PredictionsComparison(records.Record, schema="comparison", version=1):
    """The result of `compare`."""

    verdict: Verdict  # the worst of all artifacts
    machines: tuple[Machine, ...]  # of the first file and of the second
    versions: tuple[dict[str, str], ...]
    images: records.Count  # in both files
    margin: records.NonNegative  # in percentage points
    artifacts: tuple[ArtifactComparison, ...]
    unmatched: tuple[UnmatchedArtifact, ...]


def evaluate(predictions: Predictions, limits: Limits, *, by_holm: bool = False) -> VerifyReport:
    """Compare each artifact with the original model. `limits` has no tolerance: it depends on the artifact."""
    record, reference, labels = predictions.record, predictions.reference, predictions.labels
    rows = tuple(
        ArtifactResult(
            artifact=row.artifact,
            runtime=row.runtime,
            seconds=row.seconds,
            parity=parity.compute_parity(
                reference, probabilities, labels, replace(limits, tolerance=_tolerance(record, row))
            ),
            flips=parity.find_flips(reference, probabilities, labels, predictions.indices),
        )
        for row, probabilities in zip(record.rows, predictions.probabilities, strict=True)
    )
    if by_holm:
        rows = apply_holm(rows, limits.margin)
    return VerifyReport(
        verdict=overall_verdict(rows, record.not_run),
        bundle_sha256=record.bundle_sha256,
        test_set_sha256=record.test_set_sha256,
        images=len(labels),
        seed=record.seed,
        sequential=False,
        original_accuracy=float((reference.argmax(axis=1) == labels).mean()),
        margin=limits.margin,
        family=family_of(len(rows), holm=by_holm),
        rows=rows,
        not_run=record.not_run,
        corruptions=(),
        machine=record.machine,
        versions=record.versions,
    )


def apply_holm(rows: tuple[ArtifactResult, ...], margin: float) -> tuple[ArtifactResult, ...]:
    """The rows with their verdicts by Holm's method."""
    adjusted = holm.apply_holm([row.parity for row in rows], margin)
    return tuple(replace(row, parity=parity) for row, parity in zip(rows, adjusted, strict=True))


def with_rows(report: VerifyReport, rows: tuple[ArtifactResult, ...]) -> VerifyReport:
    """The report with other verdicts of its rows."""
    return replace(report, rows=rows, verdict=overall_verdict(rows, report.not_run))


def family_of(tests: int, *, holm: bool) -> Family:
    """So many tests at once."""
    return Family(tests, holm, family_wise_error(tests, holm=holm))


def overall_verdict(rows: tuple[ArtifactResult, ...], not_run: tuple[NotRun, ...]) -> Verdict:
    """The worst of all rows; FAIL if there is none, or an artifact did not run on a requested runtime."""
    incomplete = not rows or any(row.requested for row in not_run)
    return "FAIL" if incomplete else worst_verdict(row.parity.verdict for row in rows)


def compare_predictions(first: Predictions, second: Predictions, margin: float) -> PredictionsComparison:
    """Compare the artifacts of two prediction files on their common images, with the first file as the reference.

    Artifacts are matched by name and runtime. If the files have no common runtime for an artifact, each runtime of the
    first is matched with each of the second. Raises RecordError if the files have no image or artifact in common.
    """
    first, second = _select_common_images(first, second)
    matches = list(_match_rows(first.record.rows, second.record.rows))
    if not matches:
        raise RecordError("the prediction files have no artifact in common", "save the predictions of the same bundle")
    artifacts = tuple(_compare_artifact(first, second, i, j, margin) for i, j in matches)
    return PredictionsComparison(
        verdict=worst_verdict(row.parity.verdict for row in artifacts),
        machines=(first.record.machine, second.record.machine),
        versions=(first.record.versions, second.record.versions),
        images=len(first.labels),
        margin=margin,
        artifacts=artifacts,
        unmatched=(
            *_unmatched(1, first, second, {i for i, _ in matches}),
            *_unmatched(2, second, first, {j for _, j in matches}),
        ),
    )


def _tolerance(record: PredictionsRecord, *rows: ArtifactRun) -> float | None:
    all_float32 = all(row.quantization == "float32" for row in rows)
    return parity.float32_tolerance(record.max_logit) if all_float32 else None


def _select_common_images(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    test_sets = [(file.record.test_set_sha256, file.reference.shape[1]) for file in (first, second)]
    if test_sets[0] != test_sets[1]:
        raise RecordError(
            "the prediction files are of different test sets", "verify the same bundle, or two with the same data set"
        )
    _, i, j = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
    if not len(i):
        raise RecordError(
            "the prediction files have no image in common", "save them without --limit, or with the same --seed"
        )
    first, second = _select_images(first, i), _select_images(second, j)
    if (first.labels != second.labels).any():
        raise RecordError("the prediction files have different labels for the same images", "save them again")
    return first, second


def _select_images(predictions: Predictions, positions: NDArray[np.intp]) -> Predictions:
    if len(positions) == len(predictions.labels):  # all images, in order
        return predictions
    return Predictions(
        predictions.record,
        predictions.indices[positions],
        predictions.labels[positions],
        predictions.reference[positions],
        predictions.probabilities[:, positions],
    )


def _match_rows(first: tuple[ArtifactRun, ...], second: tuple[ArtifactRun, ...]) -> Iterator[tuple[int, int]]:
    """The indices of matching rows in both files."""
    common = {(row.artifact, row.runtime) for row in first} & {(row.artifact, row.runtime) for row in second}
    with_common_runtime = {artifact for artifact, _ in common}
    for i, row in enumerate(first):
        for j, candidate in enumerate(second):
            same_runtime = row.runtime == candidate.runtime
            if row.artifact == candidate.artifact and (same_runtime or row.artifact not in with_common_runtime):
                yield i, j


def _unmatched(
    file: int, predictions: Predictions, other: Predictions, matched: set[int]
) -> Iterator[UnmatchedArtifact]:
    """The rows of `predictions`, the prediction file number `file`, except those at the indices `matched`."""
    problems = {(row.artifact, row.runtime): row.problem for row in other.record.not_run}
    for i, row in enumerate(predictions.record.rows):
        if i not in matched:
            yield UnmatchedArtifact(row.artifact, row.runtime, file, problems.get((row.artifact, row.runtime), ""))


def _compare_artifact(first: Predictions, second: Predictions, i: int, j: int, margin: float) -> ArtifactComparison:
    first_row, second_row = first.record.rows[i], second.record.rows[j]
    reference, probabilities = first.probabilities[i], second.probabilities[j]
    tolerance = _tolerance(first.record, first_row, second_row)
    result = parity.compute_parity(reference, probabilities, first.labels, Limits(margin, tolerance))
    return ArtifactComparison(
        artifact=first_row.artifact,
        runtimes=(first_row.runtime, second_row.runtime),
        same_file=first_row.artifact_sha256 == second_row.artifact_sha256,
        differing_images=int((reference != probabilities).any(axis=1).sum()),
        max_difference_steps=_in_steps(result.max_difference, first_row.output_scale, second_row.output_scale),
        parity=result,
        flips=parity.find_flips(reference, probabilities, first.labels, first.indices),
    )


def _in_steps(difference: float, first_scale: float | None, second_scale: float | None) -> int | None:
    if not first_scale or first_scale != second_scale:
        return None
    steps = difference / first_scale
    return round(steps) if math.isfinite(steps) else None  # infinite if the scale is denormal
