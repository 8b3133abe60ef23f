"""Predictions of a bundle's artifacts on its test set: computed once, evaluated later, here or on another machine.

A prediction file is an npz of `record`, the UTF-8 bytes of a PredictionsRecord as JSON, and arrays for N images:
`indices` int64 [N] in the test set, `labels` int64 [N], `reference` float32 [N, classes], the original model's
probabilities, and `probabilities` float32 [rows, N, classes], those of the artifacts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Artifact, ArtifactOnRuntime, Bundle, EvaluationSet, Quantization
from mnistkit.core import files, records
from mnistkit.core.errors import RecordError, WorkerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data.sampling import stratified_sample
from mnistkit.device.machine import Machine, this_machine
from mnistkit.runtimes import Runtime, runtime_versions
from mnistkit.runtimes.inference import batch_size
from mnistkit.runtimes.isolation import Isolation, isolation
from mnistkit.runtimes.runs import prepare_runs

ARRAYS = ("indices", "labels", "reference", "probabilities")
T = TypeVar("T")
SAVE_AGAIN = "save it again with 'mnistkit verify --save-predictions', or copy it again"


@dataclass(frozen=True)
class ArtifactRun:
    """An artifact that ran on a runtime."""

    artifact: str
    artifact_sha256: str
    quantization: Quantization
    output_scale: float | None  # None if the output is not quantized
    runtime: str
    seconds: records.NonNegative  # to open the artifact and classify all images


@dataclass(frozen=True)
class NotRun(ArtifactOnRuntime):
    """An artifact that did not run on a runtime."""

    problem: str
    remedy: str
    requested: bool  # whether the user named the runtime


@dataclass(frozen=True)
class PredictionsRecord(records.Record, schema="predictions", version=1):
    """The artifacts and runtimes of a prediction file, and the machine they ran on."""

    bundle_sha256: str  # SHA-256 of the manifest, which contains those of all files
    test_set_sha256: str  # SHA-256 of the images and labels
    seed: records.Count | None  # of the sample; None if all images were used
    max_logit: records.NonNegative  # largest absolute logit of the original model
    machine: Machine
    versions: dict[str, str]
    rows: tuple[ArtifactRun, ...]
    not_run: tuple[NotRun, ...]


@dataclass(frozen=True)
class Predictions:
    """The contents of a prediction file."""

    record: PredictionsRecord
    indices: NDArray[np.int64]  # [N], in the test set
    labels: NDArray[np.int64]  # [N]
    reference: NDArray[np.float32]  # [N, classes], of the original model
    probabilities: NDArray[np.float32]  # [rows, N, classes], of the artifacts


def run_artifacts(
    bundle: Bundle,
    evaluation: EvaluationSet,
    runtimes: tuple[str, ...],
    limit: int | None = None,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Predictions:
    """Run each artifact on the named runtimes, or on all installed ones, each runtime in a process of its own.

    With `limit`, they classify a stratified sample of so many images, drawn with `seed`. Raises the errors of
    `prepare_runs`.
    """
    indices, images, sample_seed = np.arange(len(evaluation.labels), dtype=np.int64), evaluation.images, None
    if limit is not None and limit < len(indices):
        indices, sample_seed = stratified_sample(evaluation.labels, limit, seed), seed
        images = images[indices]
    reference, probabilities = evaluation.reference[indices], list[NDArray[np.float32]]()
    with isolation(images, reference.shape[1], trust_code=bundle.trust_code) as isolated:

        def run(artifact: Artifact, runtime: Runtime) -> ArtifactRun:
            predicted, seconds = classify(isolated, bundle, artifact, runtime, len(images), progress)
            probabilities.append(predicted)
            return artifact_run(artifact, runtime, seconds)

        rows, not_run = run_each(bundle, runtimes, run, progress)
    record = PredictionsRecord(
        bundle_sha256=bundle.manifest_sha256,
        test_set_sha256=evaluation.digest,
        seed=sample_seed,
        max_logit=float(abs(evaluation.logits[indices]).max()),
        machine=this_machine(),
        versions=runtime_versions(),
        rows=rows,
        not_run=not_run,
    )
    stacked = np.array(probabilities, np.float32).reshape(-1, *reference.shape)
    return Predictions(record, indices, evaluation.labels[indices], reference, stacked)


def run_each(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    run: Callable[[Artifact, Runtime], T],
    progress: Progress = SILENT,
) -> tuple[tuple[T, ...], tuple[NotRun, ...]]:
    """Call `run` with each artifact on each named or installed runtime; a WorkerError is reported as not run.

    Raises the errors of `prepare_runs`.
    """
    rows, not_run, requested = list[T](), list[NotRun](), bool(runtimes)
    runs = prepare_runs(bundle, runtimes, progress)
    for artifact, runtime in runs.available:
        try:
            rows.append(run(artifact, runtime))
        except WorkerError as error:
            not_run.append(NotRun(artifact.file, runtime.name, error.problem, error.remedy, requested))
    for row in runs.unavailable:
        not_run.append(NotRun(row.artifact.file, row.runtime.name, row.error.problem, row.error.remedy, requested))
    return tuple(rows), tuple(not_run)


def artifact_run(artifact: Artifact, runtime: Runtime, seconds: float) -> ArtifactRun:
    """The record of an artifact that ran."""
    return ArtifactRun(
        artifact=artifact.file,
        artifact_sha256=artifact.sha256,
        quantization=artifact.quantization,
        output_scale=artifact.output.scale,
        runtime=runtime.name,
        seconds=round(seconds, 3),
    )


def classify(
    isolated: Isolation, bundle: Bundle, artifact: Artifact, runtime: Runtime, images: int, progress: Progress
) -> tuple[NDArray[np.float32], float]:
    """The artifact's probabilities for all images, and the seconds that it took; raises WorkerError."""
    batch = batch_size(artifact.quantization)
    with progress.task(f"{artifact.file} on {runtime.name}", images) as advance:
        return isolated.predict(runtime, bundle.file(artifact), batch, advance)


def save(path: Path, predictions: Predictions) -> None:
    """Write a prediction file, atomically; raises StorageError."""
    record = np.frombuffer(records.to_json(predictions.record).encode(), np.uint8)
    files.write_npz(path, {"record": record} | {name: getattr(predictions, name) for name in ARRAYS})


def load(path: Path) -> Predictions:
    """Read a prediction file; raises StorageError if it can't be read, and RecordError if it is invalid."""
    try:
        arrays = files.read_npz(path, ("record", *ARRAYS))
        record = records.parse(arrays.pop("record").tobytes(), PredictionsRecord, str(path), SAVE_AGAIN)
        predictions = Predictions(record, **arrays)
        _check(predictions)
    except ValueError as error:
        raise RecordError(f"{path} is not a valid prediction file: {error}", SAVE_AGAIN) from error
    return predictions


def _check(predictions: Predictions) -> None:
    """Raise ValueError if the arrays do not have their types, or do not match each other and the record."""
    labels, reference, indices = predictions.labels, predictions.reference, predictions.indices
    if labels.ndim != 1 or reference.ndim != 2:
        raise ValueError(f"'labels' has shape {list(labels.shape)}, 'reference' {list(reference.shape)}")
    count, classes = len(labels), reference.shape[1]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "indices": ("int64", (count,)),
        "labels": ("int64", (count,)),
        "reference": ("float32", (count, classes)),
        "probabilities": ("float32", (len(predictions.record.rows), count, classes)),
    }
    for name, (dtype, shape) in expected.items():
        array = getattr(predictions, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"'{name}' is {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}")
    if 0 in reference.shape or not np.isfinite(reference).all():
        raise ValueError("'reference' does not contain probabilities")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"'labels' range from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")
    if indices.min() < 0 or (np.diff(indices) <= 0).any():
        raise ValueError("'indices' are not in ascending order")
