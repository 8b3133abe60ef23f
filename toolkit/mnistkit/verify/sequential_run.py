"""Runs each artifact on images in random order until its verdict is certain."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Artifact, Bundle, EvaluationSet
from mnistkit.core.images import Images
from mnistkit.core.interval import Interval
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device.machine import this_machine
from mnistkit.runtimes import Runtime, runtime_versions
from mnistkit.runtimes.inference import batch_size
from mnistkit.runtimes.isolation import isolation
from mnistkit.verify import parity
from mnistkit.verify.parity import Limits
from mnistkit.verify.predictions import run_each
from mnistkit.verify.report import ArtifactResult, VerifyReport, family_of, overall_verdict
from mnistkit.verify.sequential import ConfidenceSequence, Counts

BATCH_IMAGES = 100  # between two looks

Classify = Callable[[slice], tuple[NDArray[np.float32], float]]  # images to their probabilities and the seconds


def verify_sequentially(
    bundle: Bundle,
    evaluation: EvaluationSet,
    runtimes: tuple[str, ...],
    limits: Limits,
    seed: int,
    progress: Progress = SILENT,
) -> VerifyReport:
    """The report of all artifacts, each on as many images as its verdict takes. Raises the errors of `run_each`."""
    order = np.random.default_rng(seed).permutation(len(evaluation.labels)).astype(np.int64)
    images = _Permuted(evaluation.images, order)
    reference, labels = evaluation.reference[order], evaluation.labels[order]
    expected = reference.argmax(axis=1) == labels
    float32 = parity.float32_tolerance(float(abs(evaluation.logits).max()))
    with isolation(images, reference.shape[1], trust_code=bundle.trust_code) as isolated:

        def run(artifact: Artifact, runtime: Runtime) -> ArtifactResult:
            path, batch = bundle.file(artifact), batch_size(artifact.quantization)
            with progress.task(f"{artifact.file} on {runtime.name}", len(labels)) as advance:
                classify = functools.partial(isolated.predict, runtime, path, batch, advance)
                probabilities, sequence, seconds = _until_certain(classify, expected, labels, limits.margin)
            seen = len(probabilities)
            tolerance = float32 if artifact.quantization == "float32" else None
            own_limits = replace(limits, tolerance=tolerance)
            return ArtifactResult(
                artifact=artifact.file,
                runtime=runtime.name,
                seconds=round(seconds, 3),
                parity=parity.compute_parity(reference[:seen], probabilities, labels[:seen], own_limits, sequence),
                flips=parity.find_flips(reference[:seen], probabilities, labels[:seen], order[:seen]),
            )

        rows, not_run = run_each(bundle, runtimes, run)
    return VerifyReport(
        verdict=overall_verdict(rows, not_run),
        bundle_sha256=bundle.manifest_sha256,
        test_set_sha256=evaluation.digest,
        images=max((row.parity.images for row in rows), default=0),
        seed=seed,
        sequential=True,
        original_accuracy=evaluation.accuracy,
        margin=limits.margin,
        family=family_of(len(rows), holm=False),
        rows=rows,
        not_run=not_run,
        corruptions=(),
        machine=this_machine(),
        versions=runtime_versions(),
    )


class _Permuted:
    """Images in another order."""

    def __init__(self, images: Images, order: NDArray[np.int64]) -> None:
        self._images, self._order, self.shape = images, order, images.shape

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, key: slice, /) -> NDArray[np.uint8]:
        return self._images[self._order[key]]


def _until_certain(
    classify: Classify, expected: NDArray[np.bool_], labels: NDArray[np.int64], margin: float
) -> tuple[NDArray[np.float32], Interval, float]:
    """The probabilities of the images until the verdict is certain, the confidence sequence in points, and the seconds.

    `expected`, bool [N], says which images the original model classifies correctly.
    """
    sequence, seconds, parts = ConfidenceSequence(margin / 100), 0.0, list[NDArray[np.float32]]()
    for start in range(0, len(labels), BATCH_IMAGES):
        part = slice(start, start + BATCH_IMAGES)
        probabilities, part_seconds = classify(part)
        parts.append(probabilities)
        seconds += part_seconds
        correct = probabilities.argmax(axis=1) == labels[part]
        regressions, fixes = (expected[part] & ~correct).sum(), (correct & ~expected[part]).sum()
        interval = parity.in_points(sequence.add(Counts(len(correct), int(regressions), int(fixes))))
        if interval.low > -margin or interval.high < -margin:
            break
    return np.concatenate(parts), interval, seconds
