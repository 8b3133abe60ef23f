"""Classifies one test image with a Keras model or an artifact."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.bundle import Bundle
from mnistkit.classifier import choose_artifact
from mnistkit.data.dataset import Dataset, check_index
from mnistkit.runtimes.isolation import isolation
from mnistkit.training import keras_models, loading


@dataclass(frozen=True)
class Classification:
    """The predicted probabilities of one image, and its label."""

    image: NDArray[np.uint8]  # [height, width, channels]
    probabilities: NDArray[np.float32]  # [classes]
    true_label: int
    names: tuple[str, ...]  # class names

    @property
    def label(self) -> int:
        """The predicted class."""
        return int(self.probabilities.argmax())


def classify_with_model(path: Path, data: Dataset, index: int) -> Classification:
    """Classify test image `index` with the Keras model in `path`; raises ModelError and DataError."""
    images, labels = data.pick(index, 1, test=True)
    model = loading.load(path)
    keras_models.check_matches_data(model, data)
    probabilities = keras_models.predict(model, images)[0]
    return Classification(images[0], probabilities, int(labels[0]), tuple(map(str, range(len(probabilities)))))


def classify_with_artifact(bundle: Bundle, name: str | None, index: int) -> Classification:
    """Classify image `index` of the bundle's test set with the artifact `name`; None selects the first artifact.

    Raises DataError if there is no such image, ModelError if there is no such artifact, WorkerError if the runtime
    fails, and the errors of `Runtime.prepare`.
    """
    evaluation = bundle.evaluation_set()
    check_index(index, len(evaluation.images))
    artifact, runtime = choose_artifact(bundle.manifest.artifacts, name)
    image, label, names = evaluation.images[index], int(evaluation.labels[index]), bundle.manifest.provenance.labels
    runtime.prepare(bundle.file(artifact), trust_code=bundle.trust_code)
    with isolation(image[np.newaxis], len(names), trust_code=bundle.trust_code) as isolated:
        probabilities, _ = isolated.predict(runtime, bundle.file(artifact), 1, lambda amount: None)
    return Classification(image, probabilities[0], label, names)
