"""Writes `profile.zip`: the prefixes of each artifact, and a reference convolution for each kind of artifact."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mnistkit import profile_graphs
from mnistkit.bundle import Artifact, Format, Quantization
from mnistkit.core.progress import Progress
from mnistkit.profile_graphs import ArtifactGraphs, Prefix, ProfileIndex, ReferenceConvolution
from mnistkit.training import keras_models
from mnistkit.training.keras_models import import_keras
from mnistkit_export import onnx_prefixes, tflite_prefixes
from mnistkit_export.convert import CONVERTERS, conversion_step
from mnistkit_export.passes import PreparedModel, copy_unchanged
from mnistkit_export.prefixes import Cut

CUTTERS: dict[Format, Callable[[bytes], Iterator[Cut]]] = {"tflite": tflite_prefixes.cut, "onnx": onnx_prefixes.cut}
REFERENCE_SHAPE = 32, 32, 32  # height, width, channels: two convolutions of 19 million MACs, in the caches of a Pi
REFERENCE_FILTERS = 64
CALIBRATION_IMAGES = 8


def write(folder: Path, artifacts: tuple[Artifact, ...], progress: Progress) -> None:
    """Cut the artifacts in the folder and write the archive beside them. Raises ExportError and StorageError."""
    rows, graphs = list[ArtifactGraphs](), list[tuple[str, bytes]]()
    reference_model = _reference_model()
    with tempfile.TemporaryDirectory() as scratch:
        for artifact in (artifact for artifact in artifacts if artifact.format in CUTTERS):  # C has no parts to cut
            with conversion_step(f"cutting {artifact.file} for the profile", progress):
                cuts = list(CUTTERS[artifact.format]((folder / artifact.file).read_bytes()))
                names = [f"{artifact.file}.{number:03}" for number in range(len(cuts))]
                reference = f"{artifact.file}.reference"
                content = _convert_reference(reference_model, artifact.format, artifact.quantization, Path(scratch))
            graphs += [*zip(names, (cut.content for cut in cuts), strict=True), (reference, content)]
            rows.append(
                ArtifactGraphs(
                    artifact=artifact.file,
                    prefixes=tuple(
                        Prefix(name, cut.layer, cut.operators, cut.macs) for name, cut in zip(names, cuts, strict=True)
                    ),
                    reference=ReferenceConvolution(
                        reference, REFERENCE_SHAPE, keras_models.count_macs(reference_model.model)
                    ),
                )
            )
    profile_graphs.write(folder, ProfileIndex(tuple(rows)), graphs)


def _reference_model() -> PreparedModel:
    keras = import_keras()
    keras.utils.set_random_seed(0)
    options = {"padding": "same", "activation": "relu"}
    layers = [keras.layers.Conv2D(REFERENCE_FILTERS, 3, name=name, **options) for name in ("first", "second")]
    return copy_unchanged(keras.Sequential([keras.Input(REFERENCE_SHAPE, name="image"), *layers], name="reference"))


def _convert_reference(model: PreparedModel, format: Format, quantization: Quantization, scratch: Path) -> bytes:
    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, *REFERENCE_SHAPE)).astype(np.float32)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return CONVERTERS[format](model, images, "minmax", Path(folder)).convert(quantization).to_bytes()
