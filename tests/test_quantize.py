"""Quantized artifacts: diagnosis, accuracy control, metadata, options, and unusual models."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import BRIEFLY, FAST, UNTRAINED, Cli

from mnistkit.bundle import Bundle, open_bundle
from mnistkit.cli import main
from mnistkit.core import files
from mnistkit.data import dataset
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit.training import keras_models, loading
from mnistkit_export import exporter
from mnistkit_export.layer_tensors import QuantParams
from mnistkit_export.plan import ExportOptions

SharedFolder = Callable[[str, Callable[[Path], None]], Path]

# The fragile model's int8 accuracy is that of guessing, so these hold for any trained weights.
MAX_DROP = 1.0  # percentage points
MARGIN = 2.0  # percentage points


@pytest.fixture(scope="session")
def fragile(workspace: Path, shared_folder: SharedFolder) -> Path:
    """The CNN with one channel multiplied by 1000 and divided again by the next layer: int8 destroys its accuracy."""

    def make(folder: Path) -> None:
        model = loading.load(workspace / "model.keras")
        first, second, _ = (layer for layer in model.layers if type(layer).__name__ == "Conv2D")
        kernel, bias = first.get_weights()
        channel = kernel.sum(axis=(0, 1, 2)).argmax()  # active in every image
        kernel[..., channel] *= 1000
        bias[channel] *= 1000
        first.set_weights([kernel, bias])
        kernel, bias = second.get_weights()
        kernel[:, :, channel] /= 1000
        second.set_weights([kernel, bias])
        keras_models.save(model, folder / "model.keras")

    return shared_folder("fragile", make) / "model.keras"


def fragile_layers(path: Path) -> list[str]:
    """The layers that the large channel affects: two that output it, and one that reads it."""
    return [layer.name for layer in loading.load(path).layers][1:4]


def verify(mnistkit: Cli, bundle: Path, margin: float) -> dict[str, str]:
    """The verdict for each artifact."""
    rows = json.loads(mnistkit("verify", bundle, *FAST, "--margin", margin, "--json", "-").out)["rows"]
    return {row["artifact"]: row["parity"]["verdict"] for row in rows}


def test_diagnose_finds_the_fragile_layers(mnistkit: Cli, fragile: Path, few_digits: Path, tmp_path: Path) -> None:
    paths = ("--data", few_digits, "--out", tmp_path / "b")
    assert mnistkit("export", fragile, *paths, "--quantize", "float32", "--quantize", "int8").code == 0
    assert verify(mnistkit, tmp_path / "b", MARGIN) == {
        "model.float32.tflite": "PASS",
        "model.int8.tflite": "FAIL",
        "model.float32.onnx": "PASS",
        "model.int8.onnx": "FAIL",
    }
    result = mnistkit("diagnose", tmp_path / "b", "--images", 50, "--json", "-")
    for report in json.loads(result.out)["artifacts"]:
        worst, second_worst, *others = report["layers"]
        assert [worst["layer"], second_worst["layer"]] == fragile_layers(fragile)[:2]
        assert worst["consumers"] == [second_worst["layer"]]
        assert worst["activation_snr_db"] < 10
        assert min(layer["activation_snr_db"] or 100 for layer in others) > 30
        assert min(layer["cumulative"]["snr_db"] for layer in others if layer["cumulative"]["snr_db"]) < 10


def test_accuracy_control_keeps_only_fragile_layers_in_float(
    mnistkit: Cli, fragile: Path, few_digits: Path, tmp_path: Path
) -> None:
    paths = ("--data", few_digits, "--out", tmp_path / "b")
    result = mnistkit("export", fragile, *paths, "--quantize", "int8", "--max-drop", MAX_DROP)
    assert result.code == 0, result.err
    assert set(verify(mnistkit, tmp_path / "b", MARGIN).values()) == {"PASS"}
    for artifact in open_bundle(tmp_path / "b").manifest.artifacts:
        assert artifact.accuracy_control is not None
        assert list(artifact.accuracy_control.float_layers) == fragile_layers(fragile)
        assert artifact.accuracy_control.drop <= MAX_DROP
        assert artifact.accuracy_control.images == 333  # the last sixth of the training images
        assert artifact.bytes < 200_000  # the large layers are still int8


def test_accuracy_control_keeps_no_layer_in_float_if_the_target_is_met(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    paths = ("--data", few_digits, "--out", tmp_path / "b")
    options = ("--quantize", "int8", "--format", "tflite", "--max-drop", MAX_DROP)
    assert mnistkit("export", workspace / "model.keras", *paths, *options).code == 0
    (artifact,) = open_bundle(tmp_path / "b").manifest.artifacts
    assert artifact.accuracy_control is not None
    assert artifact.accuracy_control.float_layers == ()


def test_accuracy_control_continues_until_the_target_is_met(
    mnistkit: Cli, fragile: Path, few_digits: Path, tmp_path: Path
) -> None:
    model = loading.load(fragile)
    last = model.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 1e-3, bias * 1e-3])  # makes all probabilities equal in 8 bits
    keras_models.save(model, tmp_path / "model.keras")
    options = ("--data", few_digits, "--quantize", "int8", "--format", "tflite", "--max-drop", 0.1)
    assert mnistkit("export", tmp_path / "model.keras", *options).code == 0
    for artifact in open_bundle(tmp_path / "bundle").manifest.artifacts:
        assert artifact.accuracy_control is not None
        assert artifact.accuracy_control.drop <= 0.1
        assert len(artifact.accuracy_control.float_layers) >= 3


# --- reproducibility --------------------------------------------------------------------------------------------


def sha256_of_artifacts(bundle: Bundle) -> list[str]:
    return [artifact.sha256 for artifact in bundle.manifest.artifacts]


def test_repeated_export_writes_identical_files(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    first = open_bundle(workspace / "bundle")
    assert mnistkit("export", workspace / "model.keras", "--out", tmp_path / "repeated").code == 0
    repeated = open_bundle(tmp_path / "repeated")
    assert sha256_of_artifacts(repeated) == sha256_of_artifacts(first)
    assert repeated.manifest == first.manifest


# --- metadata ---------------------------------------------------------------------------------------------------


def test_every_artifact_contains_its_metadata(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    bundle = open_bundle(workspace / "bundle")
    for artifact in bundle.manifest.artifacts:
        renamed = tmp_path / f"renamed.{artifact.format}"
        renamed.write_bytes(bundle.file(artifact).read_bytes())
        inspection = json.loads(mnistkit("inspect", renamed, "--json", "-").out)
        assert inspection["file"]["sha256"] == artifact.sha256
        provenance = inspection["metadata"]["provenance"]
        assert provenance["source_model"]["sha256"] == files.sha256_of(workspace / "model.keras")
        assert provenance == json.loads((bundle.path / "manifest.json").read_text())["provenance"]
        assert inspection["metadata"]["conversion"]["quantization"] == artifact.quantization
        assert inspection["model"]["requires"] == artifact.requires
        result = mnistkit("inspect", renamed)
        assert result.code == 0
        assert f"accuracy {100 * provenance['source_model']['accuracy']:.2f}%" in result.out


def test_inspect_shows_every_artifact_of_a_bundle(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("inspect", workspace / "bundle")
    assert result.code == 0
    for artifact in open_bundle(workspace / "bundle").manifest.artifacts:
        assert artifact.file in result.out
    assert "unused borders cropped" in result.out


def test_inspect_describes_a_file_without_metadata(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    model_file = TfliteFile.from_bytes((workspace / "bundle" / "model.int8.tflite").read_bytes())
    model_file.model.metadata = None
    (tmp_path / "other.tflite").write_bytes(model_file.to_bytes())
    result = mnistkit("inspect", tmp_path / "other.tflite")
    assert result.code == 0
    assert "none: not exported by mnistkit" in result.out
    assert "3× CONV_2D" in result.out


@pytest.mark.parametrize("name", ["model.int8.tflite", "model.int8.onnx"])
@pytest.mark.parametrize(
    "corrupt",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\xff" * 400],
    ids=["truncated", "empty", "junk"],
)
def test_corrupt_artifact_is_rejected(
    mnistkit: Cli, workspace: Path, tmp_path: Path, name: str, corrupt: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(corrupt((workspace / "bundle" / name).read_bytes()))
    result = mnistkit("inspect", tmp_path / name)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1
    assert "is corrupt, or not a" in result.err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("hello"), "is not a .tflite, .onnx or .c file"),
        (lambda path: None, "is not a .tflite"),
        (lambda path: path.mkdir(), "is not a bundle"),
    ],
    ids=["text", "absent", "folder"],
)
def test_path_that_is_not_an_artifact_is_rejected(
    mnistkit: Cli, tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "thing.txt")
    result = mnistkit("inspect", tmp_path / "thing.txt")
    assert (result.code, message in result.err) == (2, True)


# --- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (ExportOptions(), 8),
        (ExportOptions(formats=("onnx",)), ["onnx float32", "onnx dynamic", "onnx int8"]),
        (ExportOptions(quantizations=("int16x8", "int8")), ["tflite int8", "tflite int16x8", "onnx int8", "c int8"]),
        (ExportOptions(formats=("tflite",), quantizations=("float16",)), ["tflite float16"]),
    ],
)
def test_options_select_the_artifacts(options: ExportOptions, names: list[str] | int) -> None:
    kinds = [" ".join(kind) for kind in options.artifact_kinds()]
    assert len(kinds) == names if isinstance(names, int) else kinds == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "onnx", "--quantize", "float16"), "no artifact matches onnx, float16"),
        (
            ("--format", "tflite", "--calibration-method", "entropy"),
            "--calibration-method entropy applies only to int8 ONNX",
        ),
        (("--quantize", "float32", "--max-drop", 1), "--max-drop applies only to int8"),
        (("--max-drop", "nan"), "is not in the range"),
        (("--max-drop", -1), "is not in the range"),
        (("--calibration-samples", 0), "is not in the range"),
        (("--calibration-samples", 60_000), "calibration needs 60000 training images, but only 1667 are available"),
        (("--labels", "a,b"), "--labels has 2 different names for 10 classes"),
        (("--labels", "a,b,c,d,e,f,g,h,i,a"), "--labels has 9 different names for 10 classes"),
        (("--quantize", "int4"), "is not one of"),
    ],
)
def test_invalid_options_are_rejected_and_nothing_is_written(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    arguments = ("export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "b")
    result = mnistkit(*arguments, *options)
    assert (result.code, message in result.err) == (2, True), result.err
    assert not (tmp_path / "b").exists()


def test_int16x8_percentile_calibration_and_class_labels(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    names = [f"digit {number}" for number in range(10)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    options = ("--quantize", "int16x8", "--quantize", "int8", "--calibration-method", "percentile")
    paths = ("--data", few_digits, "--out", tmp_path / "b", "--labels", tmp_path / "names.txt")
    assert mnistkit("export", workspace / "model.keras", *paths, *options).code == 0
    bundle = open_bundle(tmp_path / "b")
    methods = {entry.file: entry.calibration_method for entry in bundle.manifest.artifacts}
    assert methods == {
        "model.int8.tflite": "minmax",
        "model.int16x8.tflite": "minmax",
        "model.int8.onnx": "percentile",
        "model.int8.c": "minmax",
    }
    assert list(bundle.manifest.provenance.labels) == names
    assert set(verify(mnistkit, tmp_path / "b", MARGIN).values()) == {"PASS"}  # of 500 images
    result = mnistkit("predict", tmp_path / "b", "--index", 0)
    assert "predicted digit 7, label digit 7: correct" in result.out


@pytest.mark.parametrize(
    ("quantization", "message"),
    [("float32", "has no quantized artifact"), ("int8", "has no float32 artifact to compare")],
)
def test_diagnose_needs_a_quantized_and_a_float32_artifact(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, quantization: str, message: str
) -> None:
    options = ("--data", few_digits, "--out", tmp_path / "b", "--format", "tflite", "--quantize", quantization)
    assert mnistkit("export", workspace / "model.keras", *options).code == 0
    result = mnistkit("diagnose", tmp_path / "b")
    assert (result.code, message in result.err) == (2, True)


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_number_of_calibration_images_is_arbitrary(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, method: str
) -> None:
    paths = ("--data", few_digits, "--out", tmp_path / "b")
    options = ("--quantize", "int8", "--calibration-samples", 57, "--calibration-method", method)
    assert mnistkit("export", workspace / "model.keras", *paths, *options).code == 0


# --- other models -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def colors(shared_folder: SharedFolder) -> Path:
    """A small data set of color images in three classes, which differ in the brightest channel."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(0)
        labels = np.arange(900) % 3
        images = rng.integers(0, 120, (900, 16, 20, 3), np.uint8)
        images[np.arange(900), :, :, labels] += 100
        train, test = slice(700), slice(700, None)
        np.savez(
            folder / "colors.npz",
            x_train=images[train],
            y_train=labels[train],
            x_test=images[test],
            y_test=labels[test],
        )

    return shared_folder("colors", make) / "colors.npz"


def build_branched_model() -> keras_models.KerasModel:
    """A functional model for color images: branches, batch normalization, a depthwise convolution, logits."""
    keras = keras_models.import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(2)
    image = keras.Input((16, 20, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.Add()([layers.ReLU()(x), layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(6, 3)(x))
    return keras.Model(image, layers.Dense(3)(layers.Concatenate()([x, layers.GlobalAveragePooling2D()(image)])))


BRANCHED_OPTIONS = ("--labels", "red,green,blue", *UNTRAINED)


@pytest.fixture(scope="session")
def branched(colors: Path, shared_folder: SharedFolder) -> Path:
    """The branched model and its bundle: model.keras, bundle/."""

    def make(folder: Path) -> None:
        build_branched_model().save(folder / "model.keras")
        options = "--data", str(colors), *BRANCHED_OPTIONS
        assert main.run(["export", str(folder / "model.keras"), *options]) == 0

    return shared_folder("branched", make)


def check_branched_bundle(mnistkit: Cli, path: Path) -> None:
    bundle = open_bundle(path)
    assert "softmax added" in bundle.manifest.provenance.changes
    assert len(bundle.manifest.artifacts) == 8
    assert mnistkit("verify", path, *FAST, "--margin", 3).code == 0


def test_branched_classifier_is_exported_verified_benchmarked_and_diagnosed(mnistkit: Cli, branched: Path) -> None:
    check_branched_bundle(mnistkit, branched / "bundle")
    assert mnistkit("bench", branched / "bundle", *BRIEFLY).code == 0
    assert mnistkit("diagnose", branched / "bundle", "--images", 5).code == 0


def test_h5_classifier_is_exported_and_verified(mnistkit: Cli, colors: Path, tmp_path: Path) -> None:
    build_branched_model().save(tmp_path / "model.h5")
    result = mnistkit("export", tmp_path / "model.h5", "--data", colors, *BRANCHED_OPTIONS)
    assert result.code == 0, result.err
    check_branched_bundle(mnistkit, tmp_path / "bundle")


def test_export_in_another_process_writes_identical_files(branched: Path, colors: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnistkit", "export", str(branched / "model.keras"), "--out", str(tmp_path / "b")]
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # a different seed from this process
    options = "--data", str(colors), *BRANCHED_OPTIONS
    subprocess.run([*command, *options], env=environment, check=True, capture_output=True)
    assert sha256_of_artifacts(open_bundle(tmp_path / "b")) == sha256_of_artifacts(open_bundle(branched / "bundle"))


def adapted_normalization(layers: Any, image: Any) -> Any:
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(1).integers(0, 200, (50, 16, 20, 3)).astype(np.float32))
    return layers.Flatten()(normalization(image))


def repeated_layer_names(layers: Any, image: Any) -> Any:
    keras = keras_models.import_keras()
    for _ in range(2):
        block = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()
        image = keras.Sequential([keras.Input(image.shape[1:]), *block])(image)
    return layers.Flatten()(image)


def nested_model_of_any_image_size(layers: Any, image: Any) -> Any:
    keras = keras_models.import_keras()
    any_image = keras.Input((None, None, 3))
    backbone = keras.Model(any_image, layers.MaxPooling2D(3)(layers.Conv2D(4, 3)(any_image)))
    return layers.Flatten()(backbone(image))


def half_precision(layers: Any, image: Any) -> Any:
    return layers.Flatten()(layers.Conv2D(4, 3, dtype="mixed_float16")(layers.Rescaling(1 / 255)(image)))


def recurrent(layers: Any, image: Any) -> Any:
    return layers.LSTM(6)(layers.Reshape((16, 60))(layers.Rescaling(1 / 255)(image)))


def softmax_along_rows(layers: Any, image: Any) -> Any:
    rows = layers.Softmax(axis=1)(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    return layers.Flatten()(layers.MaxPooling2D(5)(rows))


@pytest.mark.parametrize(
    "body",
    [
        adapted_normalization,
        repeated_layer_names,
        nested_model_of_any_image_size,
        half_precision,
        recurrent,
        softmax_along_rows,
    ],
)
def test_unusual_model_keeps_its_predictions(
    mnistkit: Cli, colors: Path, tmp_path: Path, body: Callable[[Any, Any], Any]
) -> None:
    keras = keras_models.import_keras()
    keras.utils.set_random_seed(4)
    image = keras.Input((16, 20, 3))
    softmax = keras.layers.Dense(3, "softmax", dtype="float32")(body(keras.layers, image))
    keras.Model(image, softmax).save(tmp_path / "model.keras")
    options = ("--data", colors, "--quantize", "float32", "--quantize", "dynamic")
    result = mnistkit("export", tmp_path / "model.keras", *options, *UNTRAINED)
    assert result.code == 0, result.err
    rows = json.loads(mnistkit("verify", tmp_path / "bundle", *FAST, "--margin", 100, "--json", "-").out)["rows"]
    assert {row["parity"]["agreement"] for row in rows if "float32" in row["artifact"]} == {1}
    assert mnistkit("diagnose", tmp_path / "bundle", "--images", 5).code == 0


def test_exponential_of_an_activation_stays_float32_in_int8(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    """Softplus keeps the order of the logits, and so the labels."""
    keras = keras_models.import_keras()
    *layers, head = loading.load(workspace / "model.keras").layers
    softplus, softmax = keras.layers.Dense(10, "softplus"), keras.layers.Dense(10, "softmax")
    model = keras.Sequential([keras.Input((28, 28, 1)), *layers, softplus, softmax])
    softplus.set_weights(head.get_weights())
    softmax.set_weights([np.eye(10), np.zeros(10)])
    keras_models.save(model, tmp_path / "model.keras")
    quantizations = "--quantize", "float32", "--quantize", "int8"
    options = "--data", few_digits, *quantizations, "--accept-accuracy"
    assert mnistkit("export", tmp_path / "model.keras", *options).code == 0
    assert set(verify(mnistkit, tmp_path / "bundle", MARGIN).values()) == {"PASS"}
    operators = open_bundle(tmp_path / "bundle").manifest.artifacts[1].operators
    assert "FULLY_CONNECTED DEQUANTIZE EXP ADD LOG QUANTIZE FULLY_CONNECTED" in " ".join(operators)


def test_unsupported_layer_is_reported_in_one_line(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    unsupported = layers.Resizing(14, 14, interpolation="lanczos3")  # by both formats
    parts = unsupported, layers.Flatten(), layers.Dense(10, "softmax")
    keras.Sequential([keras.Input((28, 28, 1)), *parts]).save(tmp_path / "model.keras")
    for format in ("tflite", "onnx"):
        arguments = "export", tmp_path / "model.keras", "--data", few_digits, *UNTRAINED
        result = mnistkit(*arguments, "--format", format)
        assert result.code == 2
        layer = "resizing (Resizing, interpolation=lanczos3)"
        assert f"layer {layer} cannot be exported to {format}; replace the layer" in result.err.splitlines()[-1]
        assert not (tmp_path / "bundle").exists()


def test_artifacts_of_the_other_format_are_kept(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    parts = layers.Resizing(14, 14, interpolation="bicubic"), layers.Flatten(), layers.Dense(10, "softmax")
    keras.Sequential([keras.Input((28, 28, 1)), *parts]).save(tmp_path / "model.keras")
    result = mnistkit("export", tmp_path / "model.keras", "--data", few_digits, *UNTRAINED)
    assert result.code == 1
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert {artifact.format for artifact in manifest.artifacts} == {"onnx"}
    assert [failure.file for failure in manifest.not_exported] == [
        *(f"model.{quantization}.tflite" for quantization in ("float32", "float16", "dynamic", "int8")),
        "model.int8.c",
    ]
    (line,) = (line for line in result.out.splitlines() if line.startswith("not exported: "))
    assert "interpolation=bicubic) cannot be exported to tflite; replace the layer, or use --format onnx" in line
    assert mnistkit("verify", tmp_path / "bundle", "--runtime", "onnxruntime", "--margin", 100).code == 0


def test_model_that_cannot_be_run_is_reported_in_one_line(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    parts = layers.RandomCrop(20, 20), layers.Flatten(), layers.Dense(10, "softmax")  # it fails on float32 pixels
    keras.Sequential([keras.Input((28, 28, 1)), *parts]).save(tmp_path / "model.keras")
    result = mnistkit("export", tmp_path / "model.keras", "--data", few_digits)
    assert (result.code, "cannot run the model" in result.err) == (2, True)


# --- library ----------------------------------------------------------------------------------------------------


def test_quantization_rounds_and_saturates() -> None:
    params = QuantParams.along(np.int8, np.array([0.5], np.float32), np.array([-128]), axis=0, rank=1)
    values = np.array([-1.0, 0.0, 0.2, 0.3, 127.5, 127.7, 200.0], np.float32)
    np.testing.assert_array_equal(
        params.fake_quantize(values), np.array([0, 0, 0, 0.5, 127.5, 127.5, 127.5], np.float32)
    )
    assert params.saturation(values) == 2 / 7  # −1 and 200


def test_export_function_works_without_progress(workspace: Path, few_digits: Path, tmp_path: Path) -> None:
    options = ExportOptions(formats=("tflite",), quantizations=("float32",), optimize=False)
    bundle = exporter.export(workspace / "model.keras", dataset.load(few_digits), tmp_path / "b", options)
    assert bundle.manifest.provenance.changes == ()
    (artifact,) = bundle.manifest.artifacts
    assert (artifact.macs, artifact.input.name) == (2_794_240, "image")
