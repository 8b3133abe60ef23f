"""Quantized artifacts: what is made, what it is told apart by, what is done where quantization ruins a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import BRIEFLY, Cli

from mnistkit.bundle import open_bundle
from mnistkit.core import files
from mnistkit.formats import onnx_file, tflite_file
from mnistkit.training import keras_models
from mnistkit_export import exporter
from mnistkit_export.layer_tensors import QuantParams
from mnistkit_export.plan import ExportOptions

FILES: dict[str, Any] = {"tflite": tflite_file, "onnx": onnx_file}


def ruined(path: Path) -> list[str]:
    """The layers whose quantization is ruined by the large channel: two that store it, and one that takes it."""
    return [layer.name for layer in keras_models.load(path).layers][1:4]


@pytest.fixture
def fragile(workspace: Path, tmp_path: Path) -> Path:
    """The CNN with one channel a thousand times as large, which the next layer undoes: right in float alone."""
    model = keras_models.load(workspace / "model.keras")
    first, second, _ = (layer for layer in model.layers if type(layer).__name__ == "Conv2D")
    kernel, bias = first.get_weights()
    kernel[..., 5] *= 1000
    bias[5] *= 1000
    first.set_weights([kernel, bias])
    kernel, bias = second.get_weights()
    kernel[:, :, 5] /= 1000
    second.set_weights([kernel, bias])
    keras_models.save(model, tmp_path / "fragile.keras")
    return tmp_path / "fragile.keras"


def verdicts(mnistkit: Cli, bundle: Path, margin: float = 0.2) -> dict[str, str]:
    arguments = ("--runtime", "litert", "--runtime", "onnxruntime", "--margin", margin, "--json", "-")
    rows = json.loads(mnistkit("verify", bundle, *arguments).out)["rows"]
    return {row["artifact"]: row["parity"]["verdict"] for row in rows}


def test_diagnose_names_the_layer_that_quantization_ruins(mnistkit: Cli, fragile: Path, tmp_path: Path) -> None:
    only = ("--quantize", "float32", "--quantize", "int8")
    assert mnistkit("export", fragile, *only).code == 0
    failed = verdicts(mnistkit, tmp_path / "bundle")
    assert failed == {
        "model.float32.tflite": "PASS",
        "model.int8.tflite": "FAIL",
        "model.float32.onnx": "PASS",
        "model.int8.onnx": "FAIL",
    }
    outcome = mnistkit("diagnose", tmp_path / "bundle", "--images", 50, "--json", "-")
    for report in json.loads(outcome.out)["artifacts"]:
        worst, next_worst, *others = report["layers"]
        assert [worst["layer"], next_worst["layer"]] == ruined(fragile)[:2]
        assert worst["feeds"] == [next_worst["layer"]]
        assert worst["storage_snr_db"] < 10
        assert min(layer["storage_snr_db"] or 100 for layer in others) > 30
        assert min(layer["activations"]["snr_db"] for layer in others if layer["activations"]["snr_db"]) < 10


def test_accuracy_control_spares_a_few_layers_and_passes(mnistkit: Cli, fragile: Path, tmp_path: Path) -> None:
    outcome = mnistkit("export", fragile, "--quantize", "int8", "--max-drop", 0.2)
    assert outcome.code == 0, outcome.err
    assert set(verdicts(mnistkit, tmp_path / "bundle").values()) == {"PASS"}
    for artifact in open_bundle(tmp_path / "bundle").manifest.artifacts:
        assert artifact.accuracy_control is not None
        assert list(artifact.accuracy_control.float_layers) == ruined(fragile)
        assert artifact.accuracy_control.drop <= 0.2
        assert artifact.accuracy_control.images == 10_000
        assert artifact.bytes < 200_000  # the wide layers are still in eight bits


def test_control_leaves_a_network_alone_that_is_right(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    options = ("--quantize", "int8", "--format", "tflite", "--max-drop", 0.5)
    assert mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", *options).code == 0
    (artifact,) = open_bundle(tmp_path / "b").manifest.artifacts
    assert artifact.accuracy_control is not None
    assert artifact.accuracy_control.float_layers == ()


def test_a_network_can_go_back_to_float_entirely(mnistkit: Cli, fragile: Path, tmp_path: Path) -> None:
    source = fragile.with_name("worse.keras")
    model = keras_models.load(fragile)
    last = model.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 1e-3, bias * 1e-3])  # all probabilities alike: eight bits can't tell them apart
    keras_models.save(model, source)
    options = ("--quantize", "int8", "--format", "tflite", "--max-drop", 0)
    assert mnistkit("export", source, "--out", tmp_path / "b", *options).code == 0
    for artifact in open_bundle(tmp_path / "b").manifest.artifacts:
        assert artifact.accuracy_control is not None
        assert artifact.accuracy_control.drop <= 0
        assert len(artifact.accuracy_control.float_layers) >= 3


# --- the same again ---------------------------------------------------------------------------------------------


def test_the_same_model_gives_the_same_bytes(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    first = open_bundle(workspace / "bundle")
    assert mnistkit("export", workspace / "model.keras", "--out", tmp_path / "again").code == 0
    again = open_bundle(tmp_path / "again")
    assert [entry.sha256 for entry in again.manifest.artifacts] == [entry.sha256 for entry in first.manifest.artifacts]
    assert again.manifest == first.manifest


# --- papers -----------------------------------------------------------------------------------------------------


def test_every_artifact_carries_its_papers(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    bundle = open_bundle(workspace / "bundle")
    for artifact in bundle.manifest.artifacts:
        lone = tmp_path / f"renamed.{artifact.format}"
        lone.write_bytes(bundle.file(artifact).read_bytes())
        found = json.loads(mnistkit("inspect", lone, "--json", "-").out)
        assert found["file"]["sha256"] == artifact.sha256
        provenance = found["papers"]["provenance"]
        assert provenance["original"]["sha256"] == files.sha256_of(workspace / "model.keras")
        assert provenance == json.loads((bundle.path / "manifest.json").read_text())["provenance"]
        assert found["papers"]["making"]["quantization"] == artifact.quantization
        assert found["contents"]["requires"] == artifact.requires
        shown = mnistkit("inspect", lone)
        assert shown.code == 0
        assert "99." in shown.out or "98." in shown.out  # the original's accuracy, in percent


def test_inspecting_a_bundle_tells_of_all_of_it(mnistkit: Cli, workspace: Path) -> None:
    outcome = mnistkit("inspect", workspace / "bundle")
    assert outcome.code == 0
    for artifact in open_bundle(workspace / "bundle").manifest.artifacts:
        assert artifact.file in outcome.out
    assert "dead borders cropped" in outcome.out


def test_a_file_without_papers_is_described_all_the_same(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    content = (workspace / "bundle" / "model.int8.tflite").read_bytes()
    model = tflite_file.unpack(content)
    model.metadata = None
    (tmp_path / "other.tflite").write_bytes(tflite_file.pack(model))
    outcome = mnistkit("inspect", tmp_path / "other.tflite")
    assert outcome.code == 0
    assert "none: mnistkit did not make it" in outcome.out
    assert "3× CONV_2D" in outcome.out


@pytest.mark.parametrize("name", ["model.int8.tflite", "model.int8.onnx"])
@pytest.mark.parametrize(
    "spoil", [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"\xff" * 400], ids=["cut", "empty", "junk"]
)
def test_a_broken_file_is_refused_in_one_line(
    mnistkit: Cli, workspace: Path, tmp_path: Path, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(spoil((workspace / "bundle" / name).read_bytes()))
    outcome = mnistkit("inspect", tmp_path / name)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert "or it is broken" in outcome.err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("hello"), "is neither a .tflite nor an .onnx file"),
        (lambda path: None, "is neither"),
        (lambda path: path.mkdir(), "is no bundle"),
    ],
)
def test_what_is_no_artifact_is_refused(
    mnistkit: Cli, tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "thing.txt")
    outcome = mnistkit("inspect", tmp_path / "thing.txt")
    assert (outcome.code, message in outcome.err) == (2, True)


# --- what is chosen ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (ExportOptions(), 7),
        (ExportOptions(formats=("onnx",)), ["onnx float32", "onnx dynamic", "onnx int8"]),
        (ExportOptions(quantizations=("int16x8", "int8")), ["tflite int8", "tflite int16x8", "onnx int8"]),
        (ExportOptions(formats=("tflite",), quantizations=("float16",)), ["tflite float16"]),
    ],
)
def test_a_subset_is_made_where_one_is_asked_for(chosen: ExportOptions, names: list[str] | int) -> None:
    kinds = [" ".join(kind) for kind in chosen.artifact_kinds()]
    assert len(kinds) == names if isinstance(names, int) else kinds == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "onnx", "--quantize", "float16"), "there is no artifact of onnx in float16"),
        (("--format", "tflite", "--calibration-method", "entropy"), "only int8 ONNX is calibrated by entropy"),
        (("--quantize", "float32", "--max-drop", 1), "--max-drop is about int8"),
        (("--max-drop", "nan"), "is not in the range"),
        (("--max-drop", -1), "is not in the range"),
        (("--calibration-samples", 0), "is not in the range"),
        (("--calibration-samples", 60_000), "calibration wants 60000 training images and may choose from 1667"),
        (("--labels", "a,b"), "--labels gives 2 different names to 10 classes"),
        (("--labels", "a,b,c,d,e,f,g,h,i,a"), "--labels gives 9 different names to 10 classes"),
        (("--quantize", "int4"), "is not one of"),
    ],
)
def test_options_without_a_use_are_refused_and_nothing_is_written(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    arguments = ("export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "b")
    outcome = mnistkit(*arguments, *options)
    assert (outcome.code, message in outcome.err) == (2, True), outcome.err
    assert not (tmp_path / "b").exists()


def test_int16x8_percentile_and_labels(mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path) -> None:
    names = [f"digit {number}" for number in range(10)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    chosen = ("--quantize", "int16x8", "--quantize", "int8", "--calibration-method", "percentile")
    place = ("--data", few_digits, "--out", tmp_path / "b", "--labels", tmp_path / "names.txt")
    assert mnistkit("export", workspace / "model.keras", *place, *chosen).code == 0
    bundle = open_bundle(tmp_path / "b")
    methods = {entry.file: entry.calibration_method for entry in bundle.manifest.artifacts}
    assert methods == {"model.int8.tflite": "minmax", "model.int16x8.tflite": "minmax", "model.int8.onnx": "percentile"}
    assert list(bundle.manifest.provenance.labels) == names
    assert set(verdicts(mnistkit, tmp_path / "b", margin=2).values()) == {"PASS"}  # of 500 images
    outcome = mnistkit("predict", tmp_path / "b", "--index", 0)
    assert "digit 7, and it is digit 7: right" in outcome.out


@pytest.mark.parametrize(
    ("quantizations", "message"),
    [(("float32",), "holds nothing quantized"), (("int8",), "has no float32 artifact to compare")],
)
def test_diagnose_says_what_it_lacks(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, quantizations: tuple[str, ...], message: str
) -> None:
    options = (part for quantization in quantizations for part in ("--quantize", quantization))
    place = ("--data", few_digits, "--out", tmp_path / "b")
    assert mnistkit("export", workspace / "model.keras", *place, *options).code == 0
    outcome = mnistkit("diagnose", tmp_path / "b")
    assert (outcome.code, message in outcome.err) == (2, True)


# --- other networks ---------------------------------------------------------------------------------------------


def colourful(tmp_path: Path) -> Path:
    """A small data set of colour images in three classes, told apart by their brightest channel."""
    rng = np.random.default_rng(0)
    labels = np.arange(900) % 3
    images = rng.integers(0, 120, (900, 16, 20, 3), np.uint8)
    images[np.arange(900), :, :, labels] += 100
    split = {"x_train": images[:700], "y_train": labels[:700], "x_test": images[700:], "y_test": labels[700:]}
    np.savez(tmp_path / "colours.npz", **split)  # type: ignore[arg-type]  # numpy's stub takes the first for a flag
    return tmp_path / "colours.npz"


def branched() -> keras_models.KerasModel:
    """A functional network with branches, a normalisation, a grouped convolution, logits, for colours."""
    keras = keras_models.import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(2)
    image = keras.Input((16, 20, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.Add()([layers.ReLU()(x), layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(6, 3)(x))
    return keras.Model(image, layers.Dense(3)(layers.Concatenate()([x, layers.GlobalAveragePooling2D()(image)])))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_any_classifier_goes_all_the_way(mnistkit: Cli, tmp_path: Path, suffix: str) -> None:
    data = colourful(tmp_path)
    model = branched()
    path = tmp_path / f"model{suffix}"
    model.save(path)
    outcome = mnistkit("export", path, "--data", data, "--out", tmp_path / "b", "--labels", "red,green,blue")
    assert outcome.code == 0, outcome.err
    bundle = open_bundle(tmp_path / "b")
    assert "softmax added" in bundle.manifest.provenance.changes
    assert len(bundle.manifest.artifacts) == 7
    assert mnistkit("verify", tmp_path / "b", "--margin", 3).code == 0
    assert mnistkit("bench", tmp_path / "b", *BRIEFLY).code == 0
    assert mnistkit("diagnose", tmp_path / "b", "--images", 5).code == 0


def adapted(layers: Any, image: Any) -> Any:
    normalisation = layers.Normalization()
    normalisation.adapt(np.random.default_rng(1).integers(0, 200, (50, 16, 20, 3)).astype(np.float32))
    return layers.Flatten()(normalisation(image))


def namesakes(layers: Any, image: Any) -> Any:
    keras = keras_models.import_keras()
    for _ in range(2):
        parts = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()
        image = keras.Sequential([keras.Input(image.shape[1:]), *parts])(image)
    return layers.Flatten()(image)


def of_any_size(layers: Any, image: Any) -> Any:
    keras = keras_models.import_keras()
    any_image = keras.Input((None, None, 3))
    backbone = keras.Model(any_image, layers.MaxPooling2D(3)(layers.Conv2D(4, 3)(any_image)))
    return layers.Flatten()(backbone(image))


def half_precision(layers: Any, image: Any) -> Any:
    return layers.Flatten()(layers.Conv2D(4, 3, dtype="mixed_float16")(layers.Rescaling(1 / 255)(image)))


def recurrent(layers: Any, image: Any) -> Any:
    return layers.LSTM(6)(layers.Reshape((16, 60))(layers.Rescaling(1 / 255)(image)))


def along_rows(layers: Any, image: Any) -> Any:
    rows = layers.Softmax(axis=1)(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    return layers.Flatten()(layers.MaxPooling2D(5)(rows))


@pytest.mark.parametrize("body", [adapted, namesakes, of_any_size, half_precision, recurrent, along_rows])
def test_unusual_networks_are_exported_right(mnistkit: Cli, tmp_path: Path, body: Callable[[Any, Any], Any]) -> None:
    keras = keras_models.import_keras()
    keras.utils.set_random_seed(4)
    image = keras.Input((16, 20, 3))
    answer = keras.layers.Dense(3, "softmax", dtype="float32")(body(keras.layers, image))
    keras.Model(image, answer).save(tmp_path / "model.keras")
    place = ("--data", colourful(tmp_path), "--quantize", "float32", "--quantize", "dynamic")
    outcome = mnistkit("export", tmp_path / "model.keras", *place)
    assert outcome.code == 0, outcome.err
    rows = json.loads(mnistkit("verify", tmp_path / "bundle", "--margin", 100, "--json", "-").out)["rows"]
    assert {row["parity"]["agreement"] for row in rows if "float32" in row["artifact"]} == {1}
    assert mnistkit("diagnose", tmp_path / "bundle", "--images", 5).code == 0


def test_other_processes_give_the_same_bytes(tmp_path: Path) -> None:
    branched().save(tmp_path / "model.keras")
    data = colourful(tmp_path)
    sums = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "mnistkit", "export", "model.keras", "--data", data.name, "--out", seed]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        sums.append([artifact.sha256 for artifact in open_bundle(tmp_path / seed).manifest.artifacts])
    assert sums[0] == sums[1]


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_any_number_of_calibration_images_will_do(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, method: str
) -> None:
    place = ("--data", few_digits, "--out", tmp_path / "b")
    chosen = ("--quantize", "int8", "--calibration-samples", 57, "--calibration-method", method)
    assert mnistkit("export", workspace / "model.keras", *place, *chosen).code == 0


def test_an_unsupported_layer_is_one_line(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    strange = layers.Resizing(14, 14, interpolation="lanczos3")  # neither format has an operator for it
    parts = strange, layers.Flatten(), layers.Dense(10, "softmax")
    keras.Sequential([keras.Input((28, 28, 1)), *parts]).save(tmp_path / "model.keras")
    for format in ("tflite", "onnx"):
        outcome = mnistkit("export", tmp_path / "model.keras", "--data", few_digits, "--format", format)
        assert outcome.code == 2
        assert re.search(rf"model.float32.{format} failed: .*; simplify the network, or", outcome.err.splitlines()[-1])
        assert not (tmp_path / "bundle").exists()


def test_a_model_that_cannot_be_run_is_one_line(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    parts = layers.RandomCrop(20, 20), layers.Flatten(), layers.Dense(10, "softmax")  # it wants a scalar of its own
    keras.Sequential([keras.Input((28, 28, 1)), *parts]).save(tmp_path / "model.keras")
    outcome = mnistkit("export", tmp_path / "model.keras", "--data", few_digits)
    assert (outcome.code, "the model can't be run" in outcome.err) == (2, True)


# --- arithmetic -------------------------------------------------------------------------------------------------


def test_storage_is_what_the_type_holds() -> None:
    storage = QuantParams.along(np.int8, np.array([0.5], np.float32), np.array([-128]), axis=0, rank=1)
    values = np.array([-1.0, 0.0, 0.2, 0.3, 127.5, 127.7, 200.0], np.float32)
    np.testing.assert_array_equal(
        storage.fake_quantize(values), np.array([0, 0, 0, 0.5, 127.5, 127.5, 127.5], np.float32)
    )
    assert storage.saturation(values) == 2 / 7  # −1 and 200


def test_exporting_by_hand_needs_no_progress(workspace: Path, few_digits: Path, tmp_path: Path) -> None:
    from mnistkit.data import dataset

    options = ExportOptions(formats=("tflite",), quantizations=("float32",), optimize=False)
    bundle = exporter.export(workspace / "model.keras", dataset.load(few_digits), tmp_path / "b", options)
    assert bundle.manifest.provenance.changes == ()
    (artifact,) = bundle.manifest.artifacts
    assert (artifact.macs, artifact.input.name) == (2_794_240, "image")
