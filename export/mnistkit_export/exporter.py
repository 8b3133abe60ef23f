"""Makes a bundle: checks what goes in, prepares the network, and writes the folder whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mnistkit import bundle
from mnistkit.bundle import Bundle, EvaluationSet, Manifest, Provenance, SourceModel
from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, ExportError, ModelError, OptionError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel
from mnistkit_export import calibration
from mnistkit_export.accuracy_control import AccuracyTarget
from mnistkit_export.calibration import RepresentativeDataset
from mnistkit_export.convert import ArtifactWriter, step
from mnistkit_export.passes import copy_unchanged, optimize, with_softmax
from mnistkit_export.plan import CALIBRATED, ExportOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULTS = ExportOptions()
CHECKED_IMAGES = 500  # images on which the prepared network must answer as the original
MAX_PROBABILITY_CHANGE = 1e-3


def export(
    model_path: Path, data: Dataset, out: Path, options: ExportOptions = DEFAULTS, progress: Progress = SILENT
) -> Bundle:
    """Convert the Keras model in `model_path`, and write the bundle to the folder `out`.

    Raises OptionError where options don't fit together, ModelError where the model can't be loaded or doesn't fit
    the data, DataError where there is too little to calibrate on, ExportError where a converter fails, BundleError
    where `out` is there already, StorageError where it can't be written.
    """
    artifact_kinds = options.artifact_kinds()
    check_not_exists(out, options.force)
    with progress.task(f"loading {model_path.name}"):
        original = keras_models.load(model_path)
    keras_models.check_fit(original, data)
    labels = _labels(options.labels, original.outputs[0].shape[1])
    representative = None
    if any(quantization in CALIBRATED for _, quantization in artifact_kinds):
        with progress.task("choosing calibration images"):
            representative = calibration.choose(data, options.seed, options.calibration_samples)
    with progress.task("the original model's answers"):
        model, reference, changes = _answers(original, data)
        bound = _bound(model, representative, options.max_drop)
    prepared = step(progress, "optimising the network", optimize if options.optimize else copy_unchanged, model)
    _check_same(reference[:CHECKED_IMAGES], prepared.model, data.x_test[:CHECKED_IMAGES])
    provenance = Provenance(
        source_model=SourceModel(
            name=original.name,
            sha256=files.sha256_of(model_path),
            parameters=keras_models.count_parameters(original),
            macs=keras_models.count_macs(original),
            accuracy=float((reference.argmax(axis=1) == data.y_test).mean()),
        ),
        data=data.name,
        data_sha256=data.digest,
        labels=labels,
        changes=(*changes, *prepared.passes),
        calibration=representative.record if representative else None,
    )
    images = representative.images if representative else data.x_train[:0].astype("float32")
    with files.atomic_folder(out) as folder:
        artifacts = tuple(
            ArtifactWriter(prepared, images, provenance, options, bound, progress).make(artifact_kinds, folder)
        )
        evaluation = EvaluationSet(data.x_test, data.y_test, reference)
        test_set, answers = bundle.write_evaluation_set(folder, evaluation)
        records.write(folder / bundle.MANIFEST, Manifest(provenance, test_set, answers, artifacts))
    return bundle.open_bundle(out)


def check_not_exists(out: Path, force: bool) -> None:
    """Raise BundleError where a bundle may not be written to `out`: only an older bundle is ever replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not bundle.looks_like_bundle(out):
        raise BundleError(f"{out} is there already and is no bundle", "choose another place with --out")
    if not force:
        raise BundleError(f"{out} is there already", "replace it with --force, or choose another place with --out")


def _labels(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    if not names:
        return tuple(map(str, range(classes)))
    if len(names) != classes or len(set(names)) < classes or not all(names):
        raise OptionError(
            f"--labels gives {len(set(filter(None, names)))} different names to {classes} classes",
            "give each class one, in their order",
        )
    return names


def _answers(model: KerasModel, data: Dataset) -> tuple[KerasModel, NDArray[np.float32], tuple[str, ...]]:
    """The model, ending in probabilities, those that it gives on the test set, and what was changed for that."""
    import numpy as np

    answers: NDArray[np.float32] = keras_models.predict(model, data.x_test)
    if not np.isfinite(answers).all():
        raise ModelError("the model gives values that are not finite", "train it again")
    if answers.min() >= 0 and abs(answers.sum(axis=1) - 1).max() < 1e-3:
        return model, answers, ()
    if getattr(getattr(model.layers[-1], "activation", None), "__name__", "linear") != "linear":
        raise ModelError("the model's outputs are no probabilities", "end it with a softmax")
    with_probabilities = with_softmax(model)
    return with_probabilities, keras_models.predict(with_probabilities, data.x_test), ("softmax added",)


def _bound(
    model: KerasModel, representative: RepresentativeDataset | None, max_drop: float | None
) -> AccuracyTarget | None:
    if max_drop is None or representative is None:
        return None
    held_out = representative.held_out
    answers = keras_models.predict(model, held_out.images)
    return AccuracyTarget(max_drop, held_out, int((answers.argmax(axis=1) == held_out.labels).sum()))


def _check_same(reference: NDArray[np.float32], prepared: KerasModel, images: NDArray[np.uint8]) -> None:
    """Raise ExportError where preparing the network has changed what it answers."""
    difference = float(abs(reference - keras_models.predict(prepared, images)).max())
    if not difference <= MAX_PROBABILITY_CHANGE:
        raise ExportError(
            f"optimising the network changed its probabilities by {difference:.2g}", "export it with --no-optimise"
        )
