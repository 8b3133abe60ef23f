"""What a model or an artifact answers on one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnistkit.bundle import Bundle
from mnistkit.core.errors import ModelError
from mnistkit.data.dataset import check_index
from mnistkit.runtimes import match_runtimes
from mnistkit.runtimes.isolation import isolation
from mnistkit.training import keras_models

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnistkit.data.dataset import Dataset


@dataclass(frozen=True)
class Classification:
    """The probabilities of one image, and the truth about it."""

    image: NDArray[np.uint8]  # [height, width, channels]
    probabilities: tuple[float, ...]
    true_label: int
    names: tuple[str, ...]  # of the classes

    @property
    def label(self) -> int:
        """The class that is held most likely."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


def classify_with_model(path: Path, data: Dataset, index: int) -> Classification:
    """What the Keras model in `path` answers on test image `index`; raises ModelError, DataError."""
    (image,), (truth,) = data.pick(index, 1, test=True)
    model = keras_models.load(path)
    keras_models.check_fit(model, data)
    (probabilities,) = keras_models.predict(model, image[None])
    return Classification(
        image, tuple(map(float, probabilities)), int(truth), tuple(map(str, range(len(probabilities))))
    )


def classify_with_artifact(bundle: Bundle, name: str | None, index: int) -> Classification:
    """What an artifact of the bundle, the first unless named, answers on image `index` of its test set.

    Raises DataError where there is no such image, ModelError where there is no such artifact, WorkerError
    where it can't be run.
    """
    evaluation = bundle.evaluation_set()
    check_index(index, len(evaluation.images))
    artifacts = [artifact for artifact in bundle.manifest.artifacts if name in (None, artifact.file)]
    if not artifacts:
        there = ", ".join(artifact.file for artifact in bundle.manifest.artifacts)
        raise ModelError(f"{bundle.path} has no artifact {name}", f"there are: {there}")
    artifact, runtime = match_runtimes(artifacts[:1])[0]
    truth, names = int(evaluation.labels[index]), bundle.manifest.provenance.labels
    with isolation(evaluation.images[index : index + 1], len(names)) as isolated:
        (probabilities,), _ = isolated.predict(runtime, bundle.file(artifact), 1, lambda amount: None)
    return Classification(evaluation.images[index], tuple(map(float, probabilities)), truth, names)
