"""Exports a Keras model as a bundle: checks the inputs, optimizes the graph, and writes the folder atomically."""

from pathlib import Path

import numpy as np

from mnistkit import bundle
from mnistkit.bundle import (
    PROFILE,
    Artifact,
    Bundle,
    EvaluationSet,
    Manifest,
    NotExported,
    Preprocessing,
    Provenance,
    SourceModel,
)
from mnistkit.core import files
from mnistkit.core.errors import BundleError, ExportError, ModelError, OptionError, StorageError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.data.dataset import Dataset, LabeledImages
from mnistkit.runtimes import trust
from mnistkit.training import keras_models, loading
from mnistkit.training.keras_models import KerasModel
from mnistkit.verify.parity import float32_tolerance
from mnistkit_export import calibration, cross_compilation, preprocessing, preprocessing_search, profiling, sanity
from mnistkit_export.accuracy_control import AccuracyTarget
from mnistkit_export.calibration import RepresentativeDataset
from mnistkit_export.convert import ArtifactWriter, Expected, conversion_step
from mnistkit_export.passes import PreparedModel, copy_unchanged, optimize
from mnistkit_export.plan import CALIBRATED, ArtifactKind, ExportOptions
from mnistkit_export.probability_model import PROBED_IMAGES, ProbabilityModel, cross_entropy, to_probability_model

DEFAULTS = ExportOptions()
CHECKED_IMAGES = 500  # on which the optimized and the converted model are compared with the original
MAX_PROBABILITY_CHANGE = 1e-3


def export(
    model_path: Path, data: Dataset, out: Path, options: ExportOptions = DEFAULTS, progress: Progress = SILENT
) -> Bundle:
    """Convert the Keras model in `model_path` and write a bundle to the folder `out`.

    Raises OptionError if options contradict each other, ModelError if the model can't be loaded or doesn't fit the
    data or is hardly better than chance on it, DataError if there are too few calibration images, ExportError if no
    artifact can be converted, BundleError if `out` already exists, StorageError if it can't be written.
    """
    artifact_kinds = options.artifact_kinds()
    cross_compilation.check_compilers(options.targets)
    check_not_exists(out, force=options.force)
    requested = options.preprocessing.resolve(data)
    with progress.task(f"loading {model_path.name}"):
        original = loading.load(model_path)
    run = None if options.accept_accuracy else sanity.check_training_run(model_path, data)
    probability_model = _with_probabilities(original, data)
    labels = _labels(options.labels or data.class_names, probability_model.classes)
    representative = None
    if any(quantization in CALIBRATED for _, quantization in artifact_kinds):
        with progress.task("choosing calibration images"):
            representative = calibration.choose(data, options.seed, options.calibration_samples)
    chosen = requested or _find_preprocessing(probability_model, data, model_path, options, progress)
    probability_model = _preprocessed(probability_model, chosen, data)
    with progress.task("predicting with the original model"):
        reference, logits = probability_model.predict(data.x_test)
        target = _accuracy_target(probability_model.model, data, representative, options.max_drop)
    evaluation = EvaluationSet(data.x_test, data.y_test, reference, logits)
    if not options.accept_accuracy:
        loss = float(cross_entropy(reference, data.y_test).mean())
        sanity.check_accuracy(evaluation.accuracy, loss, data.y_test, "test", data, model_path)
        if run:
            sanity.check_training_accuracy(run, evaluation.accuracy, model_path)
    prepared, expected = _optimize(probability_model.model, evaluation, options, progress)
    provenance = Provenance(
        source_model=SourceModel(
            name=original.name,
            sha256=files.sha256_of(model_path),
            parameters=keras_models.count_parameters(original),
            macs=keras_models.count_macs(original),
            accuracy=evaluation.accuracy,
        ),
        data=data.name,
        data_sha256=data.digest,
        labels=labels,
        preprocessing=chosen,
        changes=(*probability_model.changes, *prepared.passes),
        calibration=representative.record if representative else None,
    )
    images = representative.images if representative else np.empty((0, *data.image_shape), np.float32)
    writer = ArtifactWriter(prepared, images, provenance, options, target, expected, progress)
    _write_bundle(out, writer, artifact_kinds, evaluation)
    written = bundle.open_bundle(out)
    _remember_code(written, progress)
    return written


def _remember_code(written: Bundle, progress: Progress) -> None:
    """Let this machine run the code that it made."""
    try:
        trust.remember(file.sha256 for file in written.manifest.code())
    except StorageError as error:
        progress.log(f"the C code will need --trust-code on this machine too: {error.problem}")


def _optimize(
    model: KerasModel, evaluation: EvaluationSet, options: ExportOptions, progress: Progress
) -> tuple[PreparedModel, Expected]:
    """The model as it is converted, and what its float32 artifacts must compute."""
    with conversion_step("optimizing the graph", progress):
        prepared = optimize(model) if options.optimize else copy_unchanged(model)
    tolerance = max(MAX_PROBABILITY_CHANGE, float32_tolerance(float(abs(evaluation.logits).max())))
    expected = Expected(evaluation.images[:CHECKED_IMAGES], evaluation.reference[:CHECKED_IMAGES], tolerance)
    expected.check("optimizing the graph", keras_models.predict(prepared.model, expected.images))
    return prepared, expected


def _write_bundle(
    out: Path, writer: ArtifactWriter, artifact_kinds: list[ArtifactKind], evaluation: EvaluationSet
) -> None:
    with files.atomic_folder(out, replace=writer.options.force) as folder:
        results = list(writer.write(artifact_kinds, folder))
        artifacts = tuple(result for result in results if isinstance(result, Artifact))
        not_exported = tuple(result for result in results if isinstance(result, NotExported))
        if not artifacts:
            raise ExportError(not_exported[0].problem, not_exported[0].remedy)
        test_set, reference_file = bundle.write_evaluation_set(folder, evaluation)
        if writer.options.profile:
            profiling.write(folder, artifacts, writer.progress)
        profile = bundle.describe(folder / PROFILE) if writer.options.profile else None
        manifest = Manifest(writer.provenance, test_set, reference_file, artifacts, not_exported, profile)
        bundle.write_manifest(folder, manifest)


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


def _with_probabilities(model: KerasModel, data: Dataset) -> ProbabilityModel:
    """The model with an output of probabilities; raises ModelError if the model does not match the data set."""
    preprocessing.check_input_shape(model, data)
    probed = preprocessing.apply(preprocessing.RAW, data.x_test[:PROBED_IMAGES], tuple(model.inputs[0].shape[1:]))
    probability_model = to_probability_model(model, probed)
    if probability_model.classes < data.classes:
        raise ModelError(
            f"the model has {probability_model.classes} classes, the data set has {data.classes}",
            "pass a matching data set with --data",
        )
    return probability_model


def _find_preprocessing(
    probability_model: ProbabilityModel, data: Dataset, model_path: Path, options: ExportOptions, progress: Progress
) -> Preprocessing:
    with progress.task("finding the preprocessing"):
        search = preprocessing_search.find(probability_model, data, options.seed)
    progress.log(str(search))
    if not options.accept_accuracy:
        best = search.best
        sanity.check_accuracy(best.accuracy, best.loss, search.labels, "training", data, model_path)
    search.check_decided()
    return search.best.preprocessing


def _preprocessed(probability_model: ProbabilityModel, chosen: Preprocessing, data: Dataset) -> ProbabilityModel:
    """The model for raw images."""
    model = preprocessing.wrap(probability_model.model, chosen, data.image_shape)
    logits = (
        preprocessing.wrap(probability_model.logits, chosen, data.image_shape) if probability_model.logits else None
    )
    change = () if model is probability_model.model else (f"preprocessing {chosen} added",)
    return ProbabilityModel(model, logits, (*change, *probability_model.changes))


def _accuracy_target(
    model: KerasModel, data: Dataset, representative: RepresentativeDataset | None, max_drop: float | None
) -> AccuracyTarget | None:
    if max_drop is None or representative is None:
        return None
    indices = np.sort(representative.held_out)
    held_out = LabeledImages(data.x_train[indices], data.y_train[indices])
    probabilities = keras_models.predict(model, held_out.images)
    return AccuracyTarget(max_drop, held_out, int((probabilities.argmax(axis=1) == held_out.labels).sum()))
