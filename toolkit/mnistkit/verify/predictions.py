"""What artifacts answered on a bundle's test set: gathered first and judged later, here or on another machine.

A file of predictions is an npz: `record`, the UTF-8 bytes of the record below, and arrays of the N images that were
asked: `indices` int64 [N] in the test set, `labels` int64 [N], `original` float32 [N, classes], the original model's
answers, and `answers` float32 [rows, N, classes].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mnistkit.bundle import Artifact, Bundle, EvaluationSet, Quantization
from mnistkit.core import files, records
from mnistkit.core.errors import RecordError, WorkerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data.sampling import proportional
from mnistkit.device.machine import Machine, this_machine
from mnistkit.runtimes import Runtime, artifacts_without_runtime, match_runtimes, runtime_versions
from mnistkit.runtimes.inference import BATCH
from mnistkit.runtimes.isolation import Isolation, isolation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEYS = ("record", "indices", "labels", "original", "answers")
SAVE_AGAIN = "make it again with 'mnistkit verify --save', or copy it again"


@dataclass(frozen=True)
class ArtifactRun:
    """One artifact on one runtime."""

    artifact: str
    artifact_sha256: str
    quantization: Quantization
    step: float | None  # of the probabilities: the output's scale, where it is quantized
    runtime: str
    seconds: float  # from opening the artifact to the last answer


@dataclass(frozen=True)
class NotRun:
    """An artifact that a runtime gave no answers on."""

    artifact: str
    runtime: str
    problem: str
    remedy: str
    requested: bool  # for this runtime, by its name


@dataclass(frozen=True)
class PredictionsRecord(records.Record):
    """What was run, on what."""

    schema: ClassVar[str] = "predictions"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    test_set_sha256: str  # of its images and labels
    seed: int | None  # of the sample; None: all images were asked
    machine: Machine
    versions: dict[str, str]
    rows: tuple[ArtifactRun, ...]
    not_run: tuple[NotRun, ...]


@dataclass(frozen=True)
class Predictions:
    """The record, and the arrays that go with it."""

    record: PredictionsRecord
    indices: NDArray[np.int64]  # [N], of the images in the test set
    labels: NDArray[np.int64]  # [N]
    reference: NDArray[np.float32]  # [N, classes]
    probabilities: NDArray[np.float32]  # [rows, N, classes]


def run_artifacts(
    bundle: Bundle,
    evaluation: EvaluationSet,
    runtimes: tuple[str, ...],
    limit: int | None = None,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Predictions:
    """Run every artifact on each runtime for it that is installed, or on those named, each in a process of its own.

    With a `limit`, on so many images, drawn by `seed`, the classes in their shares. Raises MissingExtraError where
    a named runtime isn't installed, BundleError where the test set is broken.
    """
    import numpy as np

    indices, images = np.arange(len(evaluation.labels), dtype=np.int64), evaluation.images
    whole = limit is None or limit >= len(indices)
    if not whole and limit is not None:
        indices = proportional(evaluation.labels, limit, seed)
        images = images[indices]
    artifacts = bundle.manifest.artifacts
    rows, not_run, answers = [], [], []
    with isolation(images, evaluation.reference.shape[1]) as isolated:
        for artifact, runtime in match_runtimes(artifacts, runtimes):
            try:
                given, seconds = _predict(isolated, bundle, artifact, runtime, len(indices), progress)
            except WorkerError as error:
                not_run.append(NotRun(artifact.file, runtime.name, error.problem, error.remedy, bool(runtimes)))
                continue
            answers.append(given)
            rows.append(
                ArtifactRun(
                    artifact=artifact.file,
                    artifact_sha256=artifact.sha256,
                    quantization=artifact.quantization,
                    step=artifact.output.scale,
                    runtime=runtime.name,
                    seconds=round(seconds, 3),
                )
            )
    record = PredictionsRecord(
        bundle_sha256=bundle.manifest_sha256,
        test_set_sha256=evaluation.digest,
        seed=None if whole else seed,
        machine=this_machine(),
        versions=runtime_versions(),
        rows=tuple(rows),
        not_run=(*not_run, *(() if runtimes else _not_installed(artifacts))),
    )
    original = evaluation.reference[indices]
    return Predictions(
        record,
        indices,
        evaluation.labels[indices],
        original,
        np.array(answers, np.float32).reshape(-1, *original.shape),
    )


def save(path: Path, predictions: Predictions) -> None:
    """Write them to `path`, atomically; raises StorageError."""
    import numpy as np

    record = np.frombuffer(records.to_json(predictions.record).encode(), np.uint8)
    arrays = {key: getattr(predictions, key) for key in KEYS[1:]}
    files.write_npz(path, {"record": record, **arrays})


def load(path: Path) -> Predictions:
    """The predictions in `path`; raises StorageError where it can't be read, RecordError where they aren't whole."""
    try:
        arrays = files.read_npz(path, KEYS)
        content = arrays.pop("record").tobytes()
        found = Predictions(records.parse(content, PredictionsRecord, str(path), SAVE_AGAIN), **arrays)
        _check(found)
    except ValueError as error:
        raise RecordError(f"{path} holds no predictions: {error}", SAVE_AGAIN) from error
    return found


def _check(found: Predictions) -> None:
    """Raise ValueError unless the arrays have the types they must, and fit each other and the record."""
    import numpy as np

    if found.reference.ndim != 2 or found.labels.ndim != 1:
        raise ValueError(f"the original's answers are {list(found.reference.shape)}")
    count = len(found.labels)
    wanted: dict[str, tuple[Any, Any]] = {
        "indices": (np.int64, (count,)),
        "labels": (np.int64, (count,)),
        "original": (np.float32, (count, *found.reference.shape[1:2])),
        "answers": (np.float32, (len(found.record.rows), *found.reference.shape)),
    }
    for name, (dtype, shape) in wanted.items():
        array = getattr(found, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} are {array.dtype} {list(array.shape)}, beside {count} labels")
    if 0 in found.reference.shape or not np.isfinite(found.reference).all():
        raise ValueError("the original's answers are no probabilities")
    if found.labels.min() < 0 or found.labels.max() >= found.reference.shape[1]:
        raise ValueError(f"labels run from {found.labels.min()} to {found.labels.max()}")
    if found.indices.min() < 0 or (np.diff(found.indices) <= 0).any():
        raise ValueError("the images are out of order")


def _predict(
    isolated: Isolation, bundle: Bundle, artifact: Artifact, runtime: Runtime, images: int, progress: Progress
) -> tuple[NDArray[np.float32], float]:
    # Dynamic ranges are taken over a batch: of several images, they would not be those of one image on a board.
    batch = 1 if artifact.quantization == "dynamic" else BATCH
    with progress.task(f"{artifact.file} on {runtime.name}", images) as advance:
        return isolated.predict(runtime, bundle.file(artifact), batch, advance)


def _not_installed(artifacts: tuple[Artifact, ...]) -> Iterator[NotRun]:
    for artifact, runtime in artifacts_without_runtime(artifacts):
        yield NotRun(artifact.file, runtime.name, "it is not installed", runtime.install_command, requested=False)
