"""Runs a bundle's artifacts on its test set, and holds their answers against the original model's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from mnistkit import parity, records
from mnistkit.bundle import Artifact, Bundle, EvaluationSet
from mnistkit.parity import Parity
from mnistkit.progress import SILENT, Progress
from mnistkit.runtimes import Runtime, pair, runtime_versions
from mnistkit.runtimes.inference import BATCH, predict


@dataclass(frozen=True)
class Row:
    """One artifact on one runtime."""

    artifact: str
    runtime: str
    seconds: float
    parity: Parity


@dataclass(frozen=True)
class VerifyReport(records.Record):
    """What `verify` found."""

    schema: ClassVar[str] = "verify"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    original_accuracy: float
    margin: float
    rows: tuple[Row, ...]
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every row did."""
        return all(row.parity.verdict == "PASS" for row in self.rows)


def verify(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    margin: float,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Every artifact of the bundle on each runtime for its format, or on those named.

    Raises MissingExtraError where a runtime isn't installed, SessionError where one fails.
    """
    evaluation = bundle.evaluation_set()
    rows = tuple(
        _row(bundle, artifact, runtime, evaluation, margin, progress)
        for artifact, runtime in pair(bundle.manifest.artifacts, runtimes)
    )
    original = (evaluation.reference.argmax(axis=1) == evaluation.labels).mean()
    return VerifyReport(
        bundle_sha256=bundle.manifest_sha256,
        original_accuracy=float(original),
        margin=margin,
        rows=rows,
        versions=runtime_versions(),
    )


def _batch(artifact: Artifact) -> int:
    """Dynamic ranges are taken over a batch: of several images, they would not be those of one image on a board."""
    return 1 if artifact.quantization == "dynamic" else BATCH


def _row(
    bundle: Bundle, artifact: Artifact, runtime: Runtime, evaluation: EvaluationSet, margin: float, progress: Progress
) -> Row:
    started = time.perf_counter()
    with progress.task(f"{artifact.file} on {runtime.name}", len(evaluation.images)) as advance:
        answers = predict(runtime, bundle.file(artifact), evaluation.images, advance, _batch(artifact))
    seconds = time.perf_counter() - started
    return Row(
        artifact=artifact.file,
        runtime=runtime.name,
        seconds=round(seconds, 3),
        parity=parity.compare(evaluation.reference, answers, evaluation.labels, margin),
    )
