"""A bundle: a folder with everything that a board needs, and a manifest with the SHA-256 of each file.

    model.<quantization>.<format>   the artifacts
    testset.npz                     images, uint8 [N, height, width, channels], and labels, int64 [N]
    reference.npz                   the original model's probabilities, float32 [N, classes], and the test set's SHA-256
    manifest.json                   the description and SHA-256 of each file

Every checksum is verified before a file is used: an artifact with a flipped bit may run without any error.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, RecordError

MANIFEST = "manifest.json"
TEST_SET = "testset.npz"
REFERENCE = "reference.npz"
ROUNDING = 1e-5  # rounding error of a float32 probability
EXPORT_AGAIN = "export it again with 'mnistkit export', or copy it again"

Format = Literal["tflite", "onnx"]
Quantization = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
CalibrationMethod = Literal["minmax", "percentile", "entropy"]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model. If quantized: real value = scale × (stored value − zero point)."""

    name: str
    shape: tuple[int | None, ...]  # None if a dimension is dynamic
    dtype: str
    scale: float | None = None  # None if not quantized
    zero_point: int | None = None


@dataclass(frozen=True)
class File:
    """A file of the bundle."""

    file: str  # name in the bundle's folder
    sha256: str
    bytes: int


@dataclass(frozen=True)
class SourceModel:
    """The Keras model that was exported."""

    name: str
    sha256: str  # of the model file
    parameters: int
    macs: int
    accuracy: float  # fraction of the test set


@dataclass(frozen=True)
class Calibration:
    """The training images that the activation ranges were calibrated on."""

    samples: int
    seed: int
    indices_sha256: str
    excluded: int  # number of training images excluded because the test set contains them too


@dataclass(frozen=True)
class Provenance:
    """The origin of all artifacts of a bundle."""

    source_model: SourceModel
    data: str  # name of the data set
    data_sha256: str
    labels: tuple[str, ...]  # class names
    changes: tuple[str, ...]  # changes to the Keras model before conversion
    calibration: Calibration | None  # None if no artifact needed calibration


@dataclass(frozen=True)
class AccuracyControl:
    """The result of quantization with accuracy control."""

    max_drop: float  # largest acceptable drop of accuracy, in percentage points
    drop: float  # measured drop, in percentage points
    images: int  # number of training images, held out of the calibration, that the drop was measured on
    float_layers: tuple[str, ...]  # layers that were left in float


@dataclass(frozen=True)
class ConversionInfo:
    """How an artifact was converted."""

    format: Format
    quantization: Quantization
    macs: int
    parameters: int
    calibration_method: CalibrationMethod | None  # None if not calibrated
    accuracy_control: AccuracyControl | None  # None if not requested
    tool_versions: dict[str, str]


@dataclass(frozen=True)
class ModelInfo:
    """The properties of a model file."""

    input: Tensor
    output: Tensor
    operators: tuple[str, ...]
    requires: dict[str, str]  # oldest versions that load the file, by package or format version


@dataclass(frozen=True)
class Artifact(ModelInfo, ConversionInfo, File):
    """An exported model file."""


@dataclass(frozen=True)
class ArtifactOnRuntime:
    """An artifact, by the name of its file, on a runtime."""

    artifact: str
    runtime: str

    @property
    def name(self) -> str:
        """The name in messages."""
        return f"{self.artifact} on {self.runtime}"


@dataclass(frozen=True)
class Metadata(records.Record, schema="metadata", version=1):
    """The metadata stored inside an artifact, so that a single file states its origin."""

    provenance: Provenance
    conversion: ConversionInfo


@dataclass(frozen=True)
class Manifest(records.Record, schema="bundle", version=1):
    """The contents of a bundle and their origin."""

    provenance: Provenance
    test_set: File
    reference: File
    artifacts: tuple[Artifact, ...]

    def files(self) -> Iterator[File]:
        """All files except the manifest."""
        yield from (self.test_set, self.reference, *self.artifacts)


@dataclass(frozen=True)
class EvaluationSet:
    """The test set and the original model's predictions on it."""

    images: NDArray[np.uint8]  # [N, height, width, channels]
    labels: NDArray[np.int64]  # [N]
    reference: NDArray[np.float32]  # probabilities, [N, classes]

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the images and labels."""
        return files.sha256_of_arrays(self.images, self.labels)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `open_bundle` has verified that it is complete and that every checksum matches."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    def file(self, file: File) -> Path:
        """The path of a file of this bundle."""
        return self.path / file.file

    def evaluation_set(self) -> EvaluationSet:
        """Read the test set and the reference; raises BundleError if they are invalid or don't match."""
        try:
            images = files.read_npz(self.file(self.manifest.test_set), ("images", "labels"))
            reference = files.read_npz(self.file(self.manifest.reference), ("probabilities", "test_set_sha256"))
            evaluation = _evaluation_set(
                images["images"], images["labels"], reference["probabilities"], len(self.manifest.provenance.labels)
            )
            if reference["test_set_sha256"].tolist() != evaluation.digest:
                raise ValueError("the reference predictions belong to another test set")
            for artifact in self.manifest.artifacts:
                _check_shapes(artifact, evaluation)
            return evaluation
        except ValueError as error:
            raise BundleError(f"{self.path}: the test set is invalid: {error}", EXPORT_AGAIN) from error


def describe(path: Path) -> File:
    """The manifest entry for the file at `path`; raises StorageError."""
    return File(path.name, files.sha256_of(path), path.stat().st_size)


def write_evaluation_set(folder: Path, evaluation: EvaluationSet) -> tuple[File, File]:
    """Write the test set and the reference to `folder`; return their manifest entries."""
    identity = np.array(evaluation.digest)
    files.write_npz(folder / TEST_SET, {"images": evaluation.images, "labels": evaluation.labels})
    files.write_npz(folder / REFERENCE, {"probabilities": evaluation.reference, "test_set_sha256": identity})
    return describe(folder / TEST_SET), describe(folder / REFERENCE)


def looks_like_bundle(path: Path) -> bool:
    """Whether the folder contains a bundle's manifest, and no file that does not belong to a bundle."""
    names = {entry.name for entry in path.iterdir()}
    artifacts = {
        f"model.{quantization}.{format}" for quantization in get_args(Quantization) for format in get_args(Format)
    }
    if MANIFEST not in names or not names <= artifacts | {MANIFEST, TEST_SET, REFERENCE}:
        return False
    return f'"mnistkit.{Manifest.schema}"'.encode() in files.read_bytes(path / MANIFEST)


def open_bundle(path: Path) -> Bundle:
    """Open the bundle in the folder `path` and verify every file.

    Raises BundleError if it is incomplete or corrupt, and StorageError if a file can't be read.
    """
    manifest_path = path / MANIFEST
    if manifest_path.is_symlink() or not manifest_path.is_file():
        raise BundleError(f"{path} is not a bundle: it has no {MANIFEST}", "create one with 'mnistkit export'")
    content = files.read_bytes(manifest_path)
    try:
        manifest = records.parse(content, Manifest, str(manifest_path), EXPORT_AGAIN)
    except RecordError as error:
        raise BundleError(error.problem, error.remedy) from error
    _check_names(path, manifest)
    _check_files(path, manifest)
    return Bundle(path, manifest, files.sha256(content))


def _check_names(path: Path, manifest: Manifest) -> None:
    names = [file.file for file in manifest.files()]
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
            raise BundleError(f"{path}: the manifest contains the invalid file name {name!r}", EXPORT_AGAIN)
    if len(set(names)) < len(names):
        raise BundleError(f"{path}: the manifest lists a file twice", EXPORT_AGAIN)
    if not manifest.artifacts:
        raise BundleError(f"{path}: the manifest lists no artifacts", EXPORT_AGAIN)


def _check_files(path: Path, manifest: Manifest) -> None:
    expected = {file.file for file in manifest.files()} | {MANIFEST}
    found = {entry.name for entry in path.iterdir()}
    if missing := sorted(expected - found):
        raise BundleError(f"{path}: {', '.join(missing)} is missing", EXPORT_AGAIN)
    if extra := sorted(found - expected):
        raise BundleError(f"{path}: {', '.join(extra)} is not in the manifest", "remove it, or export the bundle again")
    for file in manifest.files():
        if (path / file.file).is_symlink() or not (path / file.file).is_file():
            raise BundleError(f"{path}: {file.file} is not a regular file", EXPORT_AGAIN)
        if files.sha256_of(path / file.file) != file.sha256:
            raise BundleError(f"{path}: {file.file} is corrupt (SHA-256 differs)", EXPORT_AGAIN)


def _check_shapes(artifact: Artifact, evaluation: EvaluationSet) -> None:
    image_shape, classes = list(evaluation.images.shape[1:]), evaluation.reference.shape[1]
    if list(artifact.input.shape[1:]) != image_shape or list(artifact.output.shape[1:]) != [classes]:
        raise ValueError(f"{artifact.file} is incompatible with images of shape {image_shape} and {classes} classes")


def _evaluation_set(
    images: NDArray[np.uint8], labels: NDArray[np.int64], reference: NDArray[np.float32], classes: int
) -> EvaluationSet:
    """The evaluation set of these arrays; raises ValueError if they are invalid."""
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(f"images are {images.dtype} {list(images.shape)}")
    if labels.shape != (len(images),) or labels.dtype != np.int64:
        raise ValueError(f"{len(images)} images, but labels are {labels.dtype} {list(labels.shape)}")
    if reference.shape != (len(images), classes) or reference.dtype != np.float32:
        raise ValueError(f"{len(images)} images, but the reference is {reference.dtype} {list(reference.shape)}")
    if not np.isfinite(reference).all() or reference.min() < 0 or reference.max() > 1 + ROUNDING:
        raise ValueError("the reference contains values that are not probabilities")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, but {classes} classes")
    return EvaluationSet(images, labels, reference)
