"""Runs the artifacts of a bundle on corrupted images, and compares them with its float32 artifacts."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Artifact, Bundle, EvaluationSet
from mnistkit.core.errors import BundleError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data import corruptions
from mnistkit.data.sampling import stratified_sample
from mnistkit.runtimes import Runtime
from mnistkit.runtimes.inference import batch_size
from mnistkit.runtimes.isolation import isolation
from mnistkit.verify import paired
from mnistkit.verify.parity import in_points
from mnistkit.verify.predictions import run_each
from mnistkit.verify.report import CorruptedParity

Row = tuple[Artifact, Runtime, NDArray[np.bool_]]  # which images are classified correctly, bool [N]


def check_comparable(bundle: Bundle) -> None:
    """Raise BundleError if no artifact of the bundle can be compared with a float32 artifact of its format."""
    artifacts = bundle.manifest.artifacts
    references = {artifact.format for artifact in artifacts if artifact.quantization == "float32"}
    if not any(artifact.format in references and artifact.quantization != "float32" for artifact in artifacts):
        raise BundleError(
            f"{bundle.path} has no float32 artifact beside a quantized one of the same format to compare with",
            "leave out --corruptions, or export the model again with both",
        )


def verify_corrupted(
    bundle: Bundle,
    evaluation: EvaluationSet,
    runtimes: tuple[str, ...],
    limit: int | None,
    seed: int,
    progress: Progress = SILENT,
) -> tuple[CorruptedParity, ...]:
    """Each artifact under each corruption, beside the float32 artifact of its format on the same runtime.

    An artifact that does not run, or whose format has no float32 artifact in the bundle, is left out. With `limit`, on
    a stratified sample of so many images, drawn with `seed`. Raises the errors of `run_each`.
    """
    images, labels = evaluation.images, evaluation.labels
    if limit is not None and limit < len(labels):
        indices = stratified_sample(labels, limit, seed)
        images, labels = images[indices], labels[indices]
    results = list[CorruptedParity]()
    with progress.task("verifying on corrupted images", len(corruptions.CORRUPTIONS)) as advance:
        for corruption in corruptions.CORRUPTIONS:
            corrupted, classes = corruptions.corrupt(images, corruption, seed), evaluation.reference.shape[1]
            with isolation(corrupted, classes, trust_code=bundle.trust_code) as isolated:

                def run(artifact: Artifact, runtime: Runtime) -> Row:
                    batch, path = batch_size(artifact.quantization), bundle.file(artifact)
                    predicted, _ = isolated.predict(runtime, path, batch, lambda amount: None)
                    return artifact, runtime, predicted.argmax(axis=1) == labels

                rows, _ = run_each(bundle, runtimes, run)
            results += _compare(rows, corruption)
            advance(1)
    return tuple(results)


def _compare(rows: tuple[Row, ...], corruption: str) -> Iterator[CorruptedParity]:
    references = {
        (artifact.format, runtime.name): correct
        for artifact, runtime, correct in rows
        if artifact.quantization == "float32"
    }
    for artifact, runtime, correct in rows:
        reference = references.get((artifact.format, runtime.name))
        if artifact.quantization == "float32" or reference is None:
            continue
        regressions, fixes = int((reference & ~correct).sum()), int((correct & ~reference).sum())
        shares = paired.tango_interval(regressions, fixes, len(correct))
        yield CorruptedParity(
            artifact=artifact.file,
            runtime=runtime.name,
            corruption=corruption,
            reference_accuracy=float(reference.mean()),
            accuracy=float(correct.mean()),
            difference=100 * (fixes - regressions) / len(correct),
            interval=in_points(shares),
        )
