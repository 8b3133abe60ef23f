"""A bundle: a folder with all that a device needs, and the manifest that vouches for every byte of it.

    model.<quantization>.<format>   the artifacts
    testset.npz                     images, uint8 [N, height, width, channels], and labels, int64 [N]
    reference.npz                   the original model's probabilities on them, float32 [N, classes], and which they are
    manifest.json                   what each file is, with its SHA-256

Nothing is opened before its checksum holds: a flipped bit in an artifact runs without a word.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANIFEST = "manifest.json"
TEST_SET = "testset.npz"
REFERENCE = "reference.npz"
OWN_FILES = (MANIFEST, TEST_SET, REFERENCE)
ROUNDING = 1e-5  # of a probability in float32
EXPORT_AGAIN = "export it again with 'mnistkit export', or copy it again"

Format = Literal["tflite", "onnx"]
Quantization = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
CalibrationMethod = Literal["minmax", "percentile", "entropy"]


@dataclass(frozen=True)
class Tensor:
    """An input or output. real value = scale × (stored value − zero point), where those are given."""

    name: str
    shape: tuple[int | None, ...]  # None: any number
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class File:
    """A file of the bundle, by its name in the folder."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class SourceModel:
    """The Keras model that the artifacts were made from."""

    name: str
    sha256: str
    parameters: int
    macs: int
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The training images that the activations' ranges were taken from."""

    samples: int
    seed: int
    indices_sha256: str
    excluded: int  # training images that stand in the test set too, and were not to be chosen


@dataclass(frozen=True)
class Provenance:
    """Where all artifacts of a bundle come from."""

    source_model: SourceModel
    data: str
    data_sha256: str
    labels: tuple[str, ...]  # the classes' names
    changes: tuple[str, ...]  # what was done to the network before it was converted
    calibration: Calibration | None  # None: nothing was calibrated


@dataclass(frozen=True)
class AccuracyControl:
    """How much accuracy quantization was allowed to cost, what it cost, and the layers that it had to be spared."""

    max_drop: float  # percentage points
    drop: float
    images: int  # held out of the calibration, from the training set
    float_layers: tuple[str, ...]


@dataclass(frozen=True)
class ConversionInfo:
    """How an artifact was made."""

    format: Format
    quantization: Quantization
    macs: int
    parameters: int
    calibration_method: CalibrationMethod | None
    accuracy_control: AccuracyControl | None
    tool_versions: dict[str, str]


@dataclass(frozen=True)
class ModelInfo:
    """What a network's file itself says."""

    input: Tensor
    output: Tensor
    operators: tuple[str, ...]
    requires: dict[str, str]  # the oldest versions that load it


@dataclass(frozen=True)
class Artifact(ModelInfo, ConversionInfo, File):
    """An exported network."""


@dataclass(frozen=True)
class Metadata(records.Record):
    """What an artifact carries in itself, so that a lone file tells where it came from."""

    schema: ClassVar[str] = "metadata"
    version: ClassVar[int] = 1

    provenance: Provenance
    conversion: ConversionInfo


@dataclass(frozen=True)
class Manifest(records.Record):
    """What the bundle holds, and where it came from."""

    schema: ClassVar[str] = "bundle"
    version: ClassVar[int] = 1

    provenance: Provenance
    test_set: File
    reference: File
    artifacts: tuple[Artifact, ...]

    def files(self) -> Iterator[File]:
        """Every file but the manifest."""
        yield from (self.test_set, self.reference, *self.artifacts)


@dataclass(frozen=True)
class EvaluationSet:
    """What a bundle is verified on, and what the original model answered."""

    images: NDArray[np.uint8]  # [N, height, width, channels]
    labels: NDArray[np.int64]  # [N]
    reference: NDArray[np.float32]  # [N, classes]

    @functools.cached_property
    def digest(self) -> str:
        """What tells these images and labels from others."""
        return files.sha256_of_arrays(self.images, self.labels)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was there, and nothing else, with the right checksum, when it was opened."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    def file(self, file: File) -> Path:
        """Where that file lies."""
        return self.path / file.file

    def evaluation_set(self) -> EvaluationSet:
        """The test set and the reference; raises BundleError where they don't fit each other."""
        try:
            images = files.read_npz(self.file(self.manifest.test_set), ("images", "labels"))
            reference = files.read_npz(self.file(self.manifest.reference), ("probabilities", "test_set_sha256"))
            evaluation = _evaluation_set(
                images["images"], images["labels"], reference["probabilities"], len(self.manifest.provenance.labels)
            )
            if reference["test_set_sha256"].tolist() != evaluation.digest:
                raise ValueError("the original's answers are on other images")
            for artifact in self.manifest.artifacts:
                _check_shapes(artifact, evaluation)
            return evaluation
        except ValueError as error:
            raise BundleError(f"{self.path}: the test set is broken: {error}", EXPORT_AGAIN) from error


def describe(path: Path) -> File:
    """The manifest's entry for the file at `path`."""
    return File(path.name, files.sha256_of(path), path.stat().st_size)


def write_evaluation_set(folder: Path, evaluation: EvaluationSet) -> tuple[File, File]:
    """Write the test set and the reference, which says what test set it is for; their entries in the manifest."""
    import numpy as np

    identity = np.array(evaluation.digest)
    files.write_npz(folder / TEST_SET, {"images": evaluation.images, "labels": evaluation.labels})
    files.write_npz(folder / REFERENCE, {"probabilities": evaluation.reference, "test_set_sha256": identity})
    return describe(folder / TEST_SET), describe(folder / REFERENCE)


def looks_like_bundle(path: Path) -> bool:
    """Whether the folder holds a bundle's manifest, and no file that a bundle would not hold."""
    names = {entry.name for entry in path.iterdir()}
    artifacts = {
        f"model.{quantization}.{format}" for quantization in get_args(Quantization) for format in get_args(Format)
    }
    if MANIFEST not in names or names - artifacts - set(OWN_FILES):
        return False
    return f'"mnistkit.{Manifest.schema}"'.encode() in files.read_bytes(path / MANIFEST)


def open_bundle(path: Path) -> Bundle:
    """The bundle in the folder `path`, every file checked.

    Raises BundleError where it isn't whole, StorageError where a file can't be read.
    """
    manifest_path = path / MANIFEST
    if manifest_path.is_symlink() or not manifest_path.is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}", "make one with 'mnistkit export'")
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
        if name in ("", ".", "..") or any(character in name for character in "/\\") or not name.isprintable():
            raise BundleError(f"{path}: the manifest names {name!r}, which is no plain name", EXPORT_AGAIN)
    if len(set(names)) < len(names):
        raise BundleError(f"{path}: the manifest names a file twice", EXPORT_AGAIN)
    if not manifest.artifacts:
        raise BundleError(f"{path}: the manifest names no artifact", EXPORT_AGAIN)


def _check_files(path: Path, manifest: Manifest) -> None:
    expected = {file.file for file in manifest.files()} | {MANIFEST}
    found = {entry.name for entry in path.iterdir()}
    if missing := sorted(expected - found):
        raise BundleError(f"{path}: {', '.join(missing)} is missing", EXPORT_AGAIN)
    if extra := sorted(found - expected):
        raise BundleError(f"{path}: {', '.join(extra)} doesn't belong to it", "remove it, or export again")
    for file in manifest.files():
        if (path / file.file).is_symlink() or not (path / file.file).is_file():
            raise BundleError(f"{path}: {file.file} is not a plain file", EXPORT_AGAIN)
        if files.sha256_of(path / file.file) != file.sha256:
            raise BundleError(f"{path}: {file.file} was changed (SHA-256 differs)", EXPORT_AGAIN)


def _check_shapes(artifact: Artifact, evaluation: EvaluationSet) -> None:
    wanted = evaluation.images.shape[1:], evaluation.reference.shape[1:]
    found = tuple(artifact.input.shape[1:]), tuple(artifact.output.shape[1:])
    if found != wanted:
        images, answers = (", ".join(map(str, shape)) for shape in wanted)
        raise ValueError(f"{artifact.file} does not fit images of {images} and {answers} classes")


def _evaluation_set(
    images: NDArray[np.uint8], labels: NDArray[np.int64], reference: NDArray[np.float32], classes: int
) -> EvaluationSet:
    import numpy as np

    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(f"images are {images.dtype} {list(images.shape)}")
    if labels.shape != (len(images),) or labels.dtype != np.int64:
        raise ValueError(f"{len(images)} images, but labels are {labels.dtype} {list(labels.shape)}")
    if reference.shape != (len(images), classes) or reference.dtype != np.float32:
        raise ValueError(f"{len(images)} images, but the reference is {reference.dtype} {list(reference.shape)}")
    if not np.isfinite(reference).all() or reference.min() < 0 or reference.max() > 1 + ROUNDING:
        raise ValueError("the reference holds values that are no probabilities")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()} in {classes} classes")
    return EvaluationSet(images, labels, reference)
