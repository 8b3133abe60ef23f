"""Exports a Keras model as a bundle: checks the inputs, optimizes the graph, and writes the folder atomically."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from mnistkit_export.convert import ArtifactWriter, conversion_step
from mnistkit_export.passes import copy_unchanged, optimize, with_softmax
from mnistkit_export.plan import CALIBRATED, ExportOptions

DEFAULTS = ExportOptions()
CHECKED_IMAGES = 500  # images on which the optimized model is compared with the original
MAX_PROBABILITY_CHANGE = 1e-3


def export(
    model_path: Path, data: Dataset, out: Path, options: ExportOptions = DEFAULTS, progress: Progress = SILENT
) -> Bundle:
    """Convert the Keras model in `model_path` and write a bundle to the folder `out`.

    Raises OptionError if options contradict each other, ModelError if the model can't be loaded or doesn't fit the
    data, DataError if there are too few calibration images, ExportError if a conversion fails, BundleError if `out`
    already exists, StorageError if it can't be written.
    """
    artifact_kinds = options.artifact_kinds()
    check_not_exists(out, force=options.force)
    with progress.task(f"loading {model_path.name}"):
        original = keras_models.load(model_path)
    keras_models.check_matches_data(original, data)
    labels = _labels(options.labels, original.outputs[0].shape[1])
    representative = None
    if any(quantization in CALIBRATED for _, quantization in artifact_kinds):
        with progress.task("choosing calibration images"):
            representative = calibration.choose(data, options.seed, options.calibration_samples)
    with progress.task("predicting with the original model"):
        model, reference, softmax_pass = _predict(original, data)
        target = _accuracy_target(model, representative, options.max_drop)
    with conversion_step("optimizing the graph", progress):
        prepared = optimize(model) if options.optimize else copy_unchanged(model)
    _check_unchanged(reference[:CHECKED_IMAGES], prepared.model, data.x_test[:CHECKED_IMAGES])
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
        changes=(*softmax_pass, *prepared.passes),
        calibration=representative.record if representative else None,
    )
    images = representative.images if representative else np.empty((0, *data.image_shape), np.float32)
    with files.atomic_folder(out) as folder:
        writer = ArtifactWriter(prepared, images, provenance, options, target, progress)
        artifacts = tuple(writer.write(artifact_kinds, folder))
        test_set, reference_file = bundle.write_evaluation_set(
            folder, EvaluationSet(data.x_test, data.y_test, reference)
        )
        records.write(folder / bundle.MANIFEST, Manifest(provenance, test_set, reference_file, artifacts))
    return bundle.open_bundle(out)


def check_not_exists(out: Path, *, force: bool) -> None:
    """Raise BundleError if `out` already exists, unless it is empty, or it is a bundle and `force` is set."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not bundle.looks_like_bundle(out):
        raise BundleError(f"{out} already exists and is not a bundle", "choose another --out")
    if not force:
        raise BundleError(f"bundle already exists: {out}", "pass --force to replace it, or choose another --out")


def _labels(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    if not names:
        return tuple(map(str, range(classes)))
    if len(names) != classes or len(set(names)) < classes or not all(names):
        raise OptionError(
            f"--labels has {len(set(filter(None, names)))} different names for {classes} classes",
            "pass one name for each class, in order",
        )
    return names


def _predict(model: KerasModel, data: Dataset) -> tuple[KerasModel, NDArray[np.float32], tuple[str, ...]]:
    """The model, its probabilities on the test images, and the name of the change if it had to get a softmax."""
    outputs: NDArray[np.float32] = keras_models.predict(model, data.x_test)
    if not np.isfinite(outputs).all():
        raise ModelError("the model's outputs are not finite", "train it again")
    if outputs.min() >= 0 and abs(outputs.sum(axis=1) - 1).max() < 1e-3:
        return model, outputs, ()
    if getattr(getattr(model.layers[-1], "activation", None), "__name__", "linear") != "linear":
        raise ModelError("the model's outputs are not probabilities", "add a softmax at its end")
    classifier = with_softmax(model)
    return classifier, keras_models.predict(classifier, data.x_test), ("softmax added",)


def _accuracy_target(
    model: KerasModel, representative: RepresentativeDataset | None, max_drop: float | None
) -> AccuracyTarget | None:
    if max_drop is None or representative is None:
        return None
    held_out = representative.held_out
    probabilities = keras_models.predict(model, held_out.images)
    return AccuracyTarget(max_drop, held_out, int((probabilities.argmax(axis=1) == held_out.labels).sum()))


def _check_unchanged(reference: NDArray[np.float32], prepared: KerasModel, images: NDArray[np.uint8]) -> None:
    """Raise ExportError if optimization changed the probabilities."""
    difference = float(abs(reference - keras_models.predict(prepared, images)).max())
    if not difference <= MAX_PROBABILITY_CHANGE:  # also true if it is not a number
        raise ExportError(f"optimization changed the probabilities by {difference:.2g}", "export with --no-optimize")
