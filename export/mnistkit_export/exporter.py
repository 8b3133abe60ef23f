"""Makes a bundle: converts, describes, and writes the folder whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit import bundle, files, keras_models, records
from mnistkit.bundle import Artifact, Bundle, Format, Manifest, Original, Quantization
from mnistkit.data.dataset import Dataset
from mnistkit.errors import BundleError, ExportError, MnistkitError, ModelError
from mnistkit.extras import missing
from mnistkit.keras_models import KerasModel
from mnistkit.progress import SILENT, Progress
from mnistkit.versions import versions
from mnistkit_export import calibration, onnx, tflite
from mnistkit_export.optimise import optimise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOOLS = {"tflite": ("tensorflow", "keras"), "onnx": ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")}


def export(
    model_path: Path, data: Dataset, out: Path, *, seed: int = 0, force: bool = False, progress: Progress = SILENT
) -> Bundle:
    """Convert the Keras model in `model_path` to every format, and write the bundle to the folder `out`.

    Raises ModelError where the model can't be loaded or doesn't fit the data, ExportError where a converter
    fails, BundleError where `out` is there already, StorageError where it can't be written.
    """
    check_vacant(out, force)
    with progress.task(f"loading {model_path.name}"):
        model = keras_models.load(model_path)
    with progress.task("the original model's answers"):
        reference = _reference(model, data)
    images, record = calibration.choose(data, seed)
    with files.replacing_folder(out) as folder:
        artifacts = tuple(_artifacts(model, images, folder, progress))
        files.write_npz(folder / bundle.TEST_SET, {"images": data.x_test, "labels": data.y_test})
        files.write_npz(folder / bundle.REFERENCE, {"probabilities": reference})
        manifest = Manifest(
            original=Original(
                name=model.name,
                sha256=files.sha256_of(model_path),
                parameters=keras_models.count_parameters(model),
                accuracy=float((reference.argmax(axis=1) == data.y_test).mean()),
            ),
            data=data.name,
            classes=reference.shape[1],
            test_set=bundle.describe(folder / bundle.TEST_SET),
            reference=bundle.describe(folder / bundle.REFERENCE),
            calibration=record,
            artifacts=artifacts,
        )
        records.write(folder / bundle.MANIFEST, manifest)
    return bundle.open_bundle(out)


def check_vacant(out: Path, force: bool) -> None:
    """Raise BundleError where a bundle may not be written to `out`: only an older bundle is ever replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not bundle.looks_like_bundle(out):
        raise BundleError(f"{out} is there already and is no bundle", "choose another place with --out")
    if not force:
        raise BundleError(f"{out} is there already", "replace it with --force, or choose another place with --out")


def _reference(model: KerasModel, data: Dataset) -> NDArray[np.float32]:
    import numpy as np

    keras_models.check_fit(model, data)
    reference: NDArray[np.float32] = keras_models.predict(model, data.x_test)
    if not np.isfinite(reference).all():
        raise ModelError("the model gives values that are not finite", "train it again")
    if reference.min() < 0 or abs(reference.sum(axis=1) - 1).max() > 1e-3:
        raise ModelError("the model's outputs are no probabilities", "end it with a softmax")
    return reference


def _artifacts(model: KerasModel, images: NDArray[np.float32], folder: Path, progress: Progress) -> Iterator[Artifact]:
    optimised = _step(progress, "optimising the model", optimise, model)
    for (format, quantization), content in _converted(optimised, images, progress):
        path = folder / f"model.{quantization}.{format}"
        files.write_bytes(path, content)
        file = bundle.describe(path)
        yield Artifact(
            file=file.file,
            sha256=file.sha256,
            bytes=file.bytes,
            format=format,
            quantization=quantization,
            macs=keras_models.count_macs(model),
            parameters=keras_models.count_parameters(model),
            made_with=versions("mnistkit", *TOOLS[format]),
            **(tflite if format == "tflite" else onnx).describe(content),
        )


def _converted(
    model: KerasModel, images: NDArray[np.float32], progress: Progress
) -> Iterator[tuple[tuple[Format, Quantization], bytes]]:
    """Each artifact's format, quantization and content."""
    with tempfile.TemporaryDirectory() as scratch_folder:
        scratch = Path(scratch_folder)
        quantizations: tuple[Quantization, ...] = ("float32", "int8")
        _step(progress, "tracing the model", tflite.write_saved_model, model, scratch / "saved_model")
        for quantization in quantizations:
            name = f"model.{quantization}.tflite"
            content = _step(progress, name, tflite.convert, scratch / "saved_model", quantization, images)
            yield ("tflite", quantization), content
        proto = _step(progress, "model.float32.onnx", onnx.convert, model)
        yield ("onnx", "float32"), onnx.to_bytes(proto)
        proto = _step(progress, "model.int8.onnx", onnx.quantize, proto, images, scratch)
        yield ("onnx", "int8"), onnx.to_bytes(proto)


def _step(progress: Progress, name: str, convert: Any, *arguments: Any) -> Any:
    """One conversion, its failure told as ours."""
    try:
        with progress.task(name):
            return convert(*arguments)
    except ModuleNotFoundError as error:
        raise missing(str(error.name), "train") from error
    except (MnistkitError, OSError):
        raise
    except Exception as error:  # converters raise whatever their parts raise
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"{name} could not be made: {type(error).__name__}: {reason}", "simplify the network"
        ) from error
