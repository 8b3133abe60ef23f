"""What our export is worth: the CNN's artifacts beside what the converters make of it by default, as ratios.

python benchmarks/export.py
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
TARGETS = {"model.float32.tflite": 0.9, "model.int8.tflite": 0.9, "model.float32.onnx": 0.9}


def tflite(model: KerasModel, images: Any, path: Path) -> None:
    """As TensorFlow's guide converts a Keras model."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    path.write_bytes(converter.convert())


def onnx(model: KerasModel, images: Any, path: Path) -> None:
    """As tf2onnx and onnxruntime convert and quantize it without options."""
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.images: Iterator[Any] = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image[None]}

    plain = path if images is None else path.with_name("plain.onnx")
    signature = [tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="image")]
    function = tf.function(lambda image: model(image, training=False))
    tf2onnx.convert.from_function(function, input_signature=signature, output_path=str(plain))
    if images is not None:
        quantize_static(plain, path, Reader())


CONVERTERS: dict[str, Callable[[KerasModel, Any, Path], None]] = {"tflite": tflite, "onnx": onnx}


def defaults(data: Dataset, folder: Path) -> dict[str, Path]:
    """The CNN as the converters make it, by the names that our artifacts have."""
    model = untrained.network("cnn", data)
    images = calibration.choose(data, 0).images
    made = {}
    folder.mkdir()
    for format, convert in CONVERTERS.items():
        for quantization, given in (("float32", None), ("int8", images)):
            name = f"model.{quantization}.{format}"
            made[name] = folder / name
            with suppress_output(1, 2):
                convert(model, given, made[name])
    return made


def main() -> None:
    """Print the ratios."""
    data = mnist.load()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = untrained.bundle("cnn", data, Path(scratch))
        theirs = defaults(data, Path(scratch) / "defaults")
        ours = {name: bundle.path / name for name in theirs}
        test_set = bundle.file(bundle.manifest.test_set)
        paths = [*theirs.values(), *ours.values()]
        jobs = [Job(path, default_for(path.suffix[1:]), test_set) for path in paths]
        rows, _ = measure(jobs, SamplingOptions(SECONDS), progress=terminal.Terminal())
        sizes = {path: path.stat().st_size for path in paths}
    medians = {row.job.artifact: row.median_latency() for row in rows}

    columns = "default µs", "ours µs", "ratio", "target", "default kB", "ours kB"
    grid = tables.table("Latency of one image, p50, and size", ("artifact",), columns)
    for name, default in theirs.items():
        own = ours[name]
        latency = f"{medians[default]:.1f}", f"{medians[own]:.1f}", f"{medians[own] / medians[default]:.3f}"
        target = f"≤ {TARGETS[name]:.2f}" if name in TARGETS else ""
        grid.add_row(name, *latency, target, *(tables.kilobytes(sizes[path]) for path in (default, own)))
    terminal.show(grid)


if __name__ == "__main__":
    main()
