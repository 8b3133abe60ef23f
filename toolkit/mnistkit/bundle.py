"""A bundle: a folder with everything that a board needs, and a manifest with the SHA-256 of each file.

    model.<quantization>.<format>   the artifacts
    testset.npz                     labels, int64 [N], and images, uint8 [N, height, width, channels], in chunks
    reference.npz                   the original model's probabilities and logits, float32 [N, classes], and the test
                                    set's SHA-256
    manifest.json                   the description and SHA-256 of each file

Every checksum is verified before a file is used: an artifact with a flipped bit may run without any error.
"""

import functools
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, RecordError
from mnistkit.core.images import Images, TemporaryImages, chunk_length, chunks

MANIFEST = "manifest.json"
TEST_SET = "testset.npz"
REFERENCE = "reference.npz"
PROFILE = "profile.zip"
METADATA_START = b'{"schema":"mnistkit.metadata"'
MAX_METADATA_BYTES = 1 << 20
MAX_CHUNK_BYTES = 1 << 26  # 64 MB, uncompressed
ROUNDING = 1e-5  # rounding error of a float32 probability
EXPORT_AGAIN = "export it again with 'mnistkit export', or copy it again"

Format = Literal["tflite", "onnx", "c"]
Quantization = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
CalibrationMethod = Literal["minmax", "percentile", "entropy"]
Target = Literal["pi3", "pi4", "pi5", "x86-64-v3", "x86-64-vnni"]
PreprocessingKind = Literal["raw", "unit", "symmetric", "standardize", "l2-rows", "l2-columns", "l2-image", "custom"]


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
    bytes: records.Count


@dataclass(frozen=True)
class TestSet(File):
    """The file with the test images and their labels."""

    __test__ = False  # not a class of tests

    images: records.Count
    image_shape: tuple[int, ...]  # height, width, channels
    chunk: records.Count  # images in each array of the file, except the last

    def chunks(self) -> Iterator[tuple[str, int]]:
        """The name of each array of images in the file, and the number of its images."""
        for number, start in enumerate(range(0, self.images, self.chunk)):
            yield f"images_{number:05}", min(self.chunk, self.images - start)

    def check(self) -> None:
        """Raise ValueError if the fields are impossible, or a chunk is too large to be read at once."""
        shape = self.image_shape
        if self.images < 1 or len(shape) != 3 or min(shape) < 1 or self.chunk < 1:
            raise ValueError(f"{self.images} images of shape {list(shape)} in chunks of {self.chunk}")
        if min(self.chunk, self.images) > 1 and self.chunk * math.prod(shape) > MAX_CHUNK_BYTES:
            raise ValueError(f"chunks of {self.chunk} images are larger than {MAX_CHUNK_BYTES:,} bytes")


@dataclass(frozen=True)
class SourceModel:
    """The Keras model that was exported."""

    name: str
    sha256: str  # of the model file
    parameters: records.Count
    macs: records.Count
    accuracy: records.Share  # fraction of the test set


@dataclass(frozen=True)
class Calibration:
    """The training images that the activation ranges were calibrated on."""

    samples: records.Count
    seed: records.Count
    indices_sha256: str
    excluded: records.Count  # number of training images excluded because the test set contains them too


@dataclass(frozen=True)
class Preprocessing:
    """What the exporter put before the Keras model, so that each artifact accepts raw pixel values, 0 to 255.

    First 255 − x if inverted, then (x − mean) / std for each channel, or division by the L2 norm of the pixels along
    each row, along each column, or of the image.
    """

    kind: PreprocessingKind
    invert: bool
    mean: tuple[float, ...]  # one or one for each channel, in raw pixel values; empty for raw and L2 norms
    std: tuple[float, ...]

    def __str__(self) -> str:
        """As the command line has it."""
        return f"{self.kind}{' inverted' if self.invert else ''}"


@dataclass(frozen=True)
class Provenance:
    """The origin of all artifacts of a bundle."""

    source_model: SourceModel
    data: str  # name of the data set
    data_sha256: str
    labels: tuple[str, ...]  # class names
    preprocessing: Preprocessing
    changes: tuple[str, ...]  # changes to the Keras model before conversion
    calibration: Calibration | None  # None if no artifact needed calibration


@dataclass(frozen=True)
class AccuracyControl:
    """The result of quantization with accuracy control."""

    max_drop: records.NonNegative  # largest acceptable drop of accuracy, in percentage points
    drop: records.Points  # measured drop, in percentage points
    images: records.Count  # number of training images, held out of the calibration, that the drop was measured on
    float_layers: tuple[str, ...]  # layers that were left in float


@dataclass(frozen=True)
class ConversionInfo:
    """How an artifact was converted."""

    format: Format
    quantization: Quantization
    macs: records.Count
    parameters: records.Count
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
class Library(File):
    """A shared library that was compiled from the source of an artifact in C."""

    target: Target
    compiler: str  # the first line that it prints for --version


@dataclass(frozen=True)
class Artifact(ModelInfo, ConversionInfo, File):
    """An exported model file. In C it is the source, with a header and libraries."""

    header: File | None = None  # None except in C
    libraries: tuple[Library, ...] = ()
    skips_blank: bool = False  # whether it skips blank parts of images, so that its latency depends on the image

    def files(self) -> Iterator[File]:
        """All files of the artifact."""
        yield self
        if self.header:
            yield self.header
        yield from self.libraries


@dataclass(frozen=True)
class NotExported:
    """An artifact that could not be exported."""

    file: str
    problem: str
    remedy: str
    requested: bool = True  # whether the export counts as incomplete without it


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
class Manifest(records.Record, schema="bundle", version=2):
    """The contents of a bundle and their origin."""

    provenance: Provenance
    test_set: TestSet
    reference: File
    artifacts: tuple[Artifact, ...]
    not_exported: tuple[NotExported, ...]
    profile: File | None = None  # the artifacts cut after each layer; None unless requested
    sha256: str = ""  # of the other fields

    def digest(self) -> str:
        """The SHA-256 of the fields other than `sha256`, as compact JSON."""
        return digest_of_manifest(records.to_json(self))

    def files(self) -> Iterator[File]:
        """All files except the manifest."""
        yield from (self.test_set, self.reference, *(file for artifact in self.artifacts for file in artifact.files()))
        if self.profile:
            yield self.profile

    def code(self) -> list[File]:
        """The files of code: to run an artifact in C is to run them."""
        return [file for artifact in self.artifacts if artifact.format == "c" for file in artifact.files()]


def digest_of_manifest(content: str | bytes) -> str:
    """The SHA-256 of the fields of a manifest other than `sha256`, as compact JSON."""
    fields = json.loads(content) | {"sha256": ""}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return files.sha256(text.encode(errors="replace"))


@dataclass(frozen=True)
class EvaluationSet:
    """The test set and the original model's predictions on it."""

    images: Images  # [N, height, width, channels]
    labels: NDArray[np.int64]  # [N]
    reference: NDArray[np.float32]  # probabilities, [N, classes]
    logits: NDArray[np.float32]  # [N, classes]

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the images and labels."""
        return files.sha256_of_arrays(self.images, self.labels)

    @property
    def accuracy(self) -> float:
        """The accuracy of the original model."""
        return float((self.reference.argmax(axis=1) == self.labels).mean())


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `open_bundle` has verified that it is complete and that every checksum matches."""

    path: Path
    manifest: Manifest
    manifest_sha256: str
    trust_code: bool = False  # whether its code may run even if it was made on another machine

    def file(self, file: File) -> Path:
        """The path of a file of this bundle."""
        return self.path / file.file

    def evaluation_set(self) -> EvaluationSet:
        """Read the test set and the reference; raises BundleError if they are invalid or don't match."""
        try:
            images, labels = self._read_test_set()
            evaluation = self._with_reference(images, labels)
            for artifact in self.manifest.artifacts:
                _check_shapes(artifact, evaluation)
        except ValueError as error:
            raise BundleError(f"{self.path}: the test set is invalid: {error}", EXPORT_AGAIN) from error
        return evaluation

    def _read_test_set(self) -> tuple[TemporaryImages, NDArray[np.int64]]:
        """The images, in a temporary file, and the labels; raises ValueError if they are invalid."""
        test_set, classes = self.manifest.test_set, len(self.manifest.provenance.labels)
        test_set.check()
        images = TemporaryImages(test_set.image_shape)
        with files.open_npz(self.file(test_set)) as archive:
            labels = archive.read_as("labels", "int64", (test_set.images,))
            for name, count in test_set.chunks():
                images.append(archive.read_as(name, "uint8", (count, *test_set.image_shape)))
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}, but {classes} classes")
        return images, labels

    def _with_reference(self, images: Images, labels: NDArray[np.int64]) -> EvaluationSet:
        """The evaluation set; raises ValueError if the reference is invalid, or belongs to other images or labels."""
        shape = len(labels), len(self.manifest.provenance.labels)
        with files.open_npz(self.file(self.manifest.reference)) as archive:
            reference, logits = (archive.read_as(name, "float32", shape) for name in ("probabilities", "logits"))
            identity = archive.read("test_set_sha256").tolist()
        evaluation = EvaluationSet(images, labels, reference, logits)
        if identity != evaluation.digest:
            raise ValueError("the reference predictions belong to another test set")
        if not np.isfinite(reference).all() or reference.min() < 0 or reference.max() > 1 + ROUNDING:
            raise ValueError("the reference contains values that are not probabilities")
        if not np.isfinite(logits).all() or abs(_softmax(logits) - reference).max() > ROUNDING:
            raise ValueError("the reference probabilities are not the softmax of the logits")
        stated = self.manifest.provenance.source_model.accuracy
        if abs(evaluation.accuracy - stated) > 1e-9:
            raise ValueError(
                f"the original model's accuracy is {evaluation.accuracy:.2%}, but {stated:.2%} in {MANIFEST}: labels "
                "or predictions were changed"
            )
        return evaluation


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    softmax: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return softmax


def describe(path: Path) -> File:
    """The manifest entry for the file at `path`; raises StorageError."""
    return File(path.name, files.sha256_of(path), path.stat().st_size)


def read_first_chunk(test_set: Path) -> NDArray[np.uint8]:
    """The first chunk of the images in the file of a test set; raises StorageError and ValueError."""
    return files.read_npz(test_set, ["images_00000"])["images_00000"]


def write_evaluation_set(folder: Path, evaluation: EvaluationSet) -> tuple[TestSet, File]:
    """Write the test set and the reference to `folder`; return their manifest entries.

    Images are stored in chunks that decompress independently, so that no more than one is in memory at a time.
    """
    images = evaluation.images
    image_shape = tuple(images.shape[1:])
    test_set = TestSet(TEST_SET, "", 0, len(images), image_shape, chunk_length(image_shape))
    members = ((name, chunk) for (name, _), chunk in zip(test_set.chunks(), chunks(images), strict=True))
    files.write_npz_members(folder / TEST_SET, itertools.chain([("labels", evaluation.labels)], members))
    arrays = {"probabilities": evaluation.reference, "logits": evaluation.logits}
    files.write_npz(folder / REFERENCE, arrays | {"test_set_sha256": np.array(evaluation.digest)})
    written = describe(folder / TEST_SET)
    return replace(test_set, sha256=written.sha256, bytes=written.bytes), describe(folder / REFERENCE)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, with the SHA-256 of its fields, to `folder`; raises StorageError."""
    records.write(folder / MANIFEST, replace(manifest, sha256=manifest.digest()))


def artifact_name(format: Format, quantization: Quantization) -> str:
    """The name of an artifact's file."""
    return f"model.{quantization}.{format}"


def header_name(source: str) -> str:
    """The name of the header of an artifact in C."""
    return f"{source.removesuffix('.c')}.h"


def library_name(source: str, target: str) -> str:
    """The name of the library of an artifact in C for a target."""
    return f"{source.removesuffix('.c')}.{target}.so"


def looks_like_bundle(path: Path) -> bool:
    """Whether the folder contains a bundle's manifest, and no file that does not belong to a bundle."""
    names = {entry.name for entry in path.iterdir()}
    known = {MANIFEST, TEST_SET, REFERENCE, PROFILE}
    for quantization in get_args(Quantization):
        source = artifact_name("c", quantization)
        known |= {artifact_name(format, quantization) for format in get_args(Format)} | {header_name(source)}
        known |= {library_name(source, target) for target in get_args(Target)}
    if MANIFEST not in names or not names <= known:
        return False
    return records.names_schema(path / MANIFEST, Manifest)


def open_bundle(path: Path, *, trust_code: bool = False) -> Bundle:
    """Open the bundle in the folder `path` and verify every file.

    With `trust_code`, its code may run even if it was made on another machine. Raises BundleError if it is incomplete
    or corrupt, and StorageError if a file can't be read.
    """
    manifest_path = path / MANIFEST
    if manifest_path.is_symlink() or not manifest_path.is_file():
        raise BundleError(f"{path} is not a bundle: it has no {MANIFEST}", "create one with 'mnistkit export'")
    content = files.read_bytes(manifest_path)
    try:
        manifest = records.parse(content, Manifest, str(manifest_path), EXPORT_AGAIN)
    except RecordError as error:
        raise BundleError(error.problem, error.remedy) from error
    if manifest.sha256 != digest_of_manifest(content):  # of the JSON, so that unknown fields count too
        raise BundleError(f"{manifest_path} was changed (SHA-256 differs)", EXPORT_AGAIN)
    _check_names(path, manifest)
    _check_files(path, manifest)
    for artifact in manifest.artifacts:
        _check_metadata(path, artifact, manifest.provenance)
    return Bundle(path, manifest, files.sha256(content), trust_code)


def _check_names(path: Path, manifest: Manifest) -> None:
    names = [file.file for file in manifest.files()]
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
            raise BundleError(f"{path}: the manifest contains the invalid file name {name!r}", EXPORT_AGAIN)
    if len(set(names)) < len(names):
        raise BundleError(f"{path}: the manifest lists a file twice", EXPORT_AGAIN)
    if not manifest.artifacts:
        raise BundleError(f"{path}: the manifest lists no artifacts", EXPORT_AGAIN)
    for artifact in manifest.artifacts:
        if [file.file for file in artifact.files()] != list(_expected_names(artifact)):
            raise BundleError(f"{path}: the manifest lists other files of {artifact.file} than expected", EXPORT_AGAIN)


def _expected_names(artifact: Artifact) -> Iterator[str]:
    """The names that the files of an artifact must have: the runtime finds them by these."""
    yield artifact.file
    if artifact.format == "c":
        yield header_name(artifact.file)
        yield from (library_name(artifact.file, library.target) for library in artifact.libraries)


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


def _check_metadata(path: Path, artifact: Artifact, provenance: Provenance) -> None:
    """Raise BundleError unless the metadata inside the artifact agree with the manifest."""
    content = files.read_bytes(path / artifact.file)
    start = max(0, content.find(METADATA_START))
    # In both formats the metadata are one line of JSON, stored as it is.
    text = content[start : start + MAX_METADATA_BYTES].decode(errors="replace")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
        metadata = records.decode(Metadata, value, "")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: {artifact.file} contains no valid metadata of mnistkit", EXPORT_AGAIN) from error
    expected = {field.name: getattr(artifact, field.name) for field in fields(ConversionInfo)}
    if metadata != Metadata(provenance, ConversionInfo(**expected)):
        raise BundleError(f"{path}: {artifact.file} belongs to another bundle (its metadata differ)", EXPORT_AGAIN)
