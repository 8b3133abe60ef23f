"""Compare the latency and size of exported artifacts with those of the converters' default output, for the CNN.

python benchmarks/export.py
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import untrained
from mnistkit.cli import tables, terminal
from mnistkit.core.native_output import suppress_output
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.runtimes import default_for
from mnistkit.training.keras_models import KerasModel
from mnistkit_bench.jobs import Job, SamplingOptions
from mnistkit_bench.runner import measure
from mnistkit_export import calibration

SECONDS = 5.0
MAX_RATIOS = {"model.float32.tflite": 0.9, "model.int8.tflite": 0.9, "model.float32.onnx": 0.9}

Images = NDArray[np.float32]


def convert_to_tflite(model: KerasModel, calibration_images: Images | None, path: Path) -> None:
    """Convert as TensorFlow's guide does; quantize if there are calibration images."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration_images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration_images)
    path.write_bytes(converter.convert())


def convert_to_onnx(model: KerasModel, calibration_images: Images | None, path: Path) -> None:
    """Convert with tf2onnx's default options; quantize with onnxruntime's if there are calibration images."""
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    float32_path = path if calibration_images is None else path.with_name("float32.onnx")
    signature = [tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="image")]
    function = tf.function(lambda image: model(image, training=False))
    tf2onnx.convert.from_function(function, input_signature=signature, output_path=str(float32_path))
    if calibration_images is None:
        return

    inputs = iter([{"image": image[None]} for image in calibration_images])

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def get_next(self) -> dict[str, Images] | None:
            return next(inputs, None)

    quantize_static(float32_path, path, Reader())


Convert = Callable[[KerasModel, Images | None, Path], None]
CONVERTERS: dict[str, Convert] = {"tflite": convert_to_tflite, "onnx": convert_to_onnx}


def convert_with_defaults(data: Dataset, folder: Path) -> dict[str, Path]:
    """Convert the CNN with the converters' default options: file by name of the artifact that it compares with."""
    model = untrained.network("cnn", data)
    images = calibration.choose(data, 0).images
    paths = {}
    folder.mkdir()
    for format, convert in CONVERTERS.items():
        for quantization, calibration_images in (("float32", None), ("int8", images)):
            name = f"model.{quantization}.{format}"
            paths[name] = folder / name
            with suppress_output(1, 2):
                convert(model, calibration_images, paths[name])
    return paths


def main() -> None:
    """Print the latencies, their ratios, and the sizes."""
    data = mnist.load()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = untrained.bundle("cnn", data, Path(scratch))
        defaults = convert_with_defaults(data, Path(scratch) / "defaults")
        exported = {name: bundle.path / name for name in defaults}
        test_set = bundle.file(bundle.manifest.test_set)
        paths = [*defaults.values(), *exported.values()]
        jobs = [Job(path, default_for(path.suffix[1:]), test_set) for path in paths]
        rows, _ = measure(jobs, SamplingOptions(SECONDS), progress=terminal.Terminal())
        sizes = {path: path.stat().st_size for path in paths}
    medians = {row.job.artifact: row.median_latency() for row in rows}

    columns = "default µs", "mnistkit µs", "ratio", "target", "default kB", "mnistkit kB"
    grid = tables.table("Latency (p50) and size", ("artifact",), columns)
    for name, default in defaults.items():
        artifact = exported[name]
        ratio = medians[artifact] / medians[default]
        latencies = f"{medians[default]:.1f}", f"{medians[artifact]:.1f}", f"{ratio:.3f}"
        target = f"≤ {MAX_RATIOS[name]:.2f}" if name in MAX_RATIOS else ""
        grid.add_row(name, *latencies, target, *(tables.kilobytes(sizes[path]) for path in (default, artifact)))
    terminal.show(grid)


if __name__ == "__main__":
    main()
