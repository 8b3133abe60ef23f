"""Classifies images with an exported model: the Python interface of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Artifact, open_bundle
from mnistkit.core.errors import DataError, ModelError, SessionError
from mnistkit.runtimes import RUNTIMES, Runtime, Session, match_runtimes
from mnistkit.runtimes.inference import batch_size, run, session_errors


@dataclass(frozen=True)
class Classifier:
    """An artifact on a runtime. Not for use by several threads at a time."""

    artifact: str  # name of its file
    runtime: str
    labels: tuple[str, ...]  # class names
    image_shape: tuple[int, int, int]  # height, width, channels
    _path: Path = field(repr=False)
    _batch: int = field(repr=False)  # for more than one image
    _threads: int = field(repr=False)
    _trust_code: bool = field(repr=False)
    _sessions: dict[int, Session] = field(repr=False, default_factory=dict)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probabilities, float32 [N, classes], of raw images, uint8 [N, height, width, channels].

        The channel axis can be left out if there is one channel. Raises DataError if the images have another shape or
        dtype, SessionError if the runtime fails.
        """
        images = np.asarray(images)
        if images.shape[1:] == self.image_shape[:2] and self.image_shape[2] == 1:
            images = images[..., np.newaxis]
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape or len(images) == 0:
            raise DataError(
                f"the images are {images.dtype} {list(images.shape)}",
                f"pass raw pixel values 0 to 255, uint8 [N, {', '.join(map(str, self.image_shape))}]",
            )
        session = self._session(1 if len(images) == 1 else self._batch)
        with session_errors(RUNTIMES[self.runtime]):
            return run(session, images, range(len(images)), lambda amount: None)

    def _session(self, batch: int) -> Session:
        if batch not in self._sessions:
            runtime = RUNTIMES[self.runtime]
            self._sessions[batch] = runtime.open(self._path, batch, self._threads, trust_code=self._trust_code)
        return self._sessions[batch]


def open_classifier(
    path: Path | str, artifact: str | None, runtime: str | None, threads: int, *, trust_code: bool
) -> Classifier:
    """See `mnistkit.load`."""
    bundle = open_bundle(Path(path), trust_code=trust_code)
    chosen, chosen_runtime = choose_artifact(bundle.manifest.artifacts, artifact, runtime)
    height, width, channels = bundle.manifest.test_set.image_shape
    labels = bundle.manifest.provenance.labels
    shape = height, width, channels
    batch = batch_size(chosen.quantization)
    classifier = Classifier(
        artifact=chosen.file,
        runtime=chosen_runtime.name,
        labels=labels,
        image_shape=shape,
        _path=bundle.file(chosen),
        _batch=batch,
        _threads=threads,
        _trust_code=trust_code,
    )
    classifier.predict(np.zeros((1, *shape), np.uint8))  # fails now rather than on the first image
    return classifier


def choose_artifact(
    artifacts: tuple[Artifact, ...], name: str | None, runtime: str | None = None
) -> tuple[Artifact, Runtime]:
    """The artifact of that name on the runtime of that name, or the first of those.

    Raises ModelError if there is no such artifact, SessionError if there is no such runtime.
    """
    selected = [artifact for artifact in artifacts if name in (None, artifact.file)]
    if not selected:
        names = ", ".join(artifact.file for artifact in artifacts)
        raise ModelError(f"the bundle has no artifact {name}", f"choose from {names}")
    if runtime is not None and runtime not in RUNTIMES:
        raise SessionError(f"there is no runtime {runtime}", f"choose from {', '.join(RUNTIMES)}")
    return match_runtimes(selected, (runtime,) if runtime else ())[0]
