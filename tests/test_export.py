"""Exported bundles: their content, their manifest, and the inputs that export rejects."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Cli

from mnistkit import bundle as bundles
from mnistkit.bundle import Artifact, Bundle, Manifest, open_bundle
from mnistkit.core import files
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit.training import keras_models, loading
from mnistkit_export import calibration, passes

NAMES = [
    "model.float32.tflite",
    "model.float16.tflite",
    "model.dynamic.tflite",
    "model.int8.tflite",
    "model.float32.onnx",
    "model.dynamic.onnx",
    "model.int8.onnx",
]
C_NAMES = "model.int8.c", "model.int8.h"
QUICK = "--format", "tflite", "--quantize", "float32"  # for tests that don't look at the artifacts


@pytest.fixture(scope="session")
def exported(workspace: Path) -> Bundle:
    return open_bundle(workspace / "bundle")


def find_artifact(exported: Bundle, name: str) -> Artifact:
    (artifact,) = (artifact for artifact in exported.manifest.artifacts if artifact.file == name)
    return artifact


def test_bundle_contains_artifacts_test_set_and_reference_only(exported: Bundle) -> None:
    names = sorted(path.name for path in exported.path.iterdir())
    assert names == sorted([*NAMES, *C_NAMES, "manifest.json", "reference.npz", "testset.npz"])
    assert [artifact.file for artifact in exported.manifest.artifacts] == [*NAMES, C_NAMES[0]]
    assert sum(path.stat().st_size for path in exported.path.iterdir()) < 4_500_000


def test_reference_is_the_original_models_predictions(exported: Bundle, workspace: Path, digits: Dataset) -> None:
    evaluation = exported.evaluation_set()
    np.testing.assert_array_equal(evaluation.images, digits.x_test)
    np.testing.assert_array_equal(evaluation.labels, digits.y_test)
    model = loading.load(workspace / "model.keras")
    np.testing.assert_allclose(evaluation.reference, keras_models.predict(model, digits.x_test), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_manifest_describes_the_artifact_as_the_runtime_does(exported: Bundle, name: str) -> None:
    artifact = find_artifact(exported, name)
    path = exported.file(artifact)
    assert artifact.bytes == path.stat().st_size
    assert (artifact.macs, artifact.parameters) == (2_378_368, 93_322)
    assert artifact.tool_versions["tensorflow"]
    assert (artifact.input.name, artifact.output.name) == ("image", "probabilities")
    if artifact.format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (input_,), (output,) = session.get_inputs(), session.get_outputs()
        assert (input_.name, input_.shape, input_.type) == ("image", ["N", 28, 28, 1], "tensor(float)")
        assert (output.name, output.shape, output.type) == ("probabilities", ["N", 10], "tensor(float)")
        assert (artifact.input.shape, artifact.input.dtype) == ((None, 28, 28, 1), "float32")
        assert "Softmax" in artifact.operators
        assert ("QuantizeLinear" in artifact.operators) == (artifact.quantization == "int8")
        assert ("MatMulInteger" in artifact.operators) == (artifact.quantization == "dynamic")
        assert "ConvInteger" not in artifact.operators
        expected = {"float32": ("9", "0.3"), "dynamic": ("11", "1.0"), "int8": ("13", "1.6")}[artifact.quantization]
        assert (artifact.requires["ONNX opset"], artifact.requires["onnxruntime"]) == expected
    else:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        for tensor, (details,) in (
            (artifact.input, interpreter.get_input_details()),
            (artifact.output, interpreter.get_output_details()),
        ):
            assert (tensor.shape, tensor.dtype) == (tuple(details["shape"]), np.dtype(details["dtype"]).name)
            assert (tensor.scale or 0, tensor.zero_point or 0) == details["quantization"]
        assert "SOFTMAX" in artifact.operators
        major, minor, _ = map(int, artifact.requires["TensorFlow Lite"].split("."))
        assert (major, minor) <= ((2, 4) if artifact.quantization == "dynamic" else (1, 15))


def test_int8_tflite_accepts_raw_pixels(exported: Bundle) -> None:
    tensor = find_artifact(exported, "model.int8.tflite").input
    assert (tensor.dtype, tensor.scale, tensor.zero_point) == ("uint8", 1.0, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".tflite")])
def test_tflite_graph_runs_in_one_delegate_partition(exported: Bundle, name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(exported.path / name))
    interpreter.allocate_tensors()
    *operators, delegate = interpreter._get_ops_details()  # noqa: SLF001
    assert [node["op_name"] for node in (*operators, delegate)].count("DELEGATE") == 1
    # Operators before the delegate's inputs and after its output are not delegated.
    names = [node["op_name"] for node in operators]
    first = next(i for i, node in enumerate(operators) if not set(node["outputs"]) & set(delegate["inputs"]))
    (last,) = (i for i, node in enumerate(operators) if list(node["outputs"]) == list(delegate["outputs"]))
    not_delegated = (["QUANTIZE"], ["SOFTMAX", "QUANTIZE"]) if "int8" in name else ([], [])
    assert (names[:first], names[last + 1 :]) == not_delegated


# Except dynamic: its ranges are computed over the batch, so predictions depend on the other images of the batch.
@pytest.mark.parametrize("name", [*(name for name in NAMES if "dynamic" not in name), C_NAMES[0]])
def test_predictions_do_not_depend_on_the_batch_size(exported: Bundle, name: str) -> None:
    artifact = find_artifact(exported, name)
    runtime = default_for(artifact.format)
    images = exported.evaluation_set().images[:53]
    in_batches = predict(runtime, exported.file(artifact), images, lambda amount: None, trust_code=True)
    session = runtime.open(exported.file(artifact), trust_code=True)
    assert session.batch == 1
    for image, expected in zip(images, in_batches, strict=True):
        session.load(image[None])
        session.run()
        np.testing.assert_allclose(session.read()[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["model.float32.tflite", "model.float32.onnx"])
def test_float32_probabilities_equal_the_original_models(exported: Bundle, name: str) -> None:
    artifact, evaluation = find_artifact(exported, name), exported.evaluation_set()
    runtime = default_for(artifact.format)
    probabilities = predict(runtime, exported.file(artifact), evaluation.images[:1000], lambda amount: None)
    np.testing.assert_allclose(probabilities, evaluation.reference[:1000], atol=1e-5)


def test_calibration_images_are_seeded_balanced_and_from_the_training_set(digits: Dataset) -> None:
    chosen, repeated, other = (calibration.choose(digits, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(chosen.images, repeated.images)
    assert chosen.record == repeated.record != other.record
    assert chosen.images.shape == (500, 28, 28, 1)
    assert (chosen.images.min(), chosen.images.max()) == (0, 255)
    labels = {image.tobytes(): label for image, label in zip(digits.x_train[:], digits.y_train, strict=True)}
    contents = [image.astype(np.uint8).tobytes() for image in chosen.images[1:]]  # two pixels of the first are replaced
    counts = np.bincount([labels[content] for content in contents], minlength=10)
    assert counts.min() >= 49
    assert counts.max() == 50
    assert not set(contents) & {image.tobytes() for image in digits.x_train[chosen.held_out]}
    assert len(chosen.held_out) == 10_000


def test_duplicates_of_test_images_are_excluded_from_calibration(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    data = dataset.load(few_digits)
    overlapping = Dataset("overlapping", data.x_train, data.y_train, data.x_train[:300], data.y_train[:300])
    chosen = calibration.choose(overlapping, 0)
    assert chosen.record.excluded == 300
    test_images = {image.tobytes() for image in overlapping.x_test[:]}
    assert not test_images & {image.astype(np.uint8).tobytes() for image in chosen.images}
    x, y = data.x_train[:], data.y_train
    np.savez(tmp_path / "same.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", "--data", tmp_path / "same.npz")
    assert result.code == 2
    assert "only 0 are available (2,000 more are identical to test images)" in result.err


# --- existing folders -------------------------------------------------------------------------------------------


def test_existing_bundle_is_replaced_only_with_force(
    mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path
) -> None:
    manifest = (bundle / "manifest.json").read_bytes()
    arguments = ("export", workspace / "model.keras", "--out", bundle, "--data", few_digits, *QUICK)
    result = mnistkit(*arguments)
    assert result.code == 2
    assert f"bundle already exists: {bundle}; pass --force to replace it, or choose another --out" in result.err
    assert (bundle / "manifest.json").read_bytes() == manifest
    assert mnistkit(*arguments, "--force").code == 0
    assert json.loads((bundle / "manifest.json").read_text())["provenance"]["data"] == "few"
    assert mnistkit("verify", bundle, "--runtime", "litert", "--margin", 5).code == 0


def test_folder_that_is_not_a_bundle_is_never_replaced(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years' work")
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path, "--force")
    assert result.code == 2
    assert "is not a bundle" in result.err
    assert (tmp_path / "thesis.txt").read_text() == "ten years' work"


def test_folder_with_another_kind_of_manifest_is_never_replaced(mnistkit: Cli, workspace: Path, bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    result = mnistkit("export", workspace / "model.keras", "--out", bundle, "--force")
    assert (result.code, "is not a bundle" in result.err) == (2, True)
    (bundle / "notes.txt").unlink()
    (bundle / "manifest.json").write_text('{"name": "a browser extension"}')
    result = mnistkit("export", workspace / "model.keras", "--out", bundle, "--force")
    assert (result.code, "is not a bundle" in result.err) == (2, True)


def test_leftovers_of_a_killed_export_are_removed(
    mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path
) -> None:
    dead, running = (bundle.with_name(f".tmp-{number}-bundle") for number in (1, 2))
    for folder in (dead, running):
        shutil.copytree(bundle, folder)
    arguments = ("export", workspace / "model.keras", "--data", few_digits, "--out", bundle, "--force", *QUICK)
    descriptor = os.open(running, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as a running export does
    assert mnistkit(*arguments).code == 0
    assert sorted(path.name for path in bundle.parent.iterdir()) == [running.name, "bundle"]
    os.close(descriptor)
    assert mnistkit(*arguments).code == 0
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_of_two_exports_into_a_fresh_folder_one_succeeds(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "b", *QUICK)
    write_manifest = bundles.write_manifest

    def finish_another_export_first(folder: Path, manifest: Manifest) -> None:
        monkeypatch.setattr(bundles, "write_manifest", write_manifest)
        monkeypatch.setattr(files, "_temporary_sibling", lambda path: path.with_name(f".tmp-1-{path.name}"))
        assert mnistkit(*arguments).code == 0
        write_manifest(folder, manifest)

    monkeypatch.setattr(bundles, "write_manifest", finish_another_export_first)
    result = mnistkit(*arguments)
    assert result.code == 2
    assert "another command has just written it: pass --force" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


# --- invalid models and data ------------------------------------------------------------------------------------


def test_channels_first_flatten_keeps_its_order(digits: Dataset) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    head = [layers.Conv2D(3, 3), layers.Flatten(data_format="channels_first"), layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((28, 28, 1)), *head])
    images = digits.x_test[:20]
    np.testing.assert_allclose(
        keras_models.predict(passes.optimize(model).model, images), keras_models.predict(model, images), atol=1e-6
    )


def truncate(workspace: Path, path: Path) -> None:
    path.write_bytes((workspace / "model.keras").read_bytes()[:5000])


def overwrite_with_zeros(workspace: Path, path: Path) -> None:
    content = bytearray((workspace / "model.keras").read_bytes())
    content[300:700] = bytes(400)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda workspace, path: None, "cannot read .*No such file"),
        (lambda workspace, path: path.mkdir(), "cannot read .*Is a directory"),
        (lambda workspace, path: path.write_text("hello"), "is not a .keras or .h5 file"),
        (lambda workspace, path: path.write_bytes(b""), "is not a .keras or .h5 file"),
        (truncate, "cannot load"),
        (overwrite_with_zeros, "cannot load"),
    ],
    ids=["absent", "folder", "text", "empty", "truncated", "overwritten with zeros"],
)
def test_invalid_model_file_is_rejected(
    mnistkit: Cli, workspace: Path, tmp_path: Path, make: Callable[[Path, Path], object], message: str
) -> None:
    make(workspace, tmp_path / "model.keras")
    result = mnistkit("export", tmp_path / "model.keras", "--out", tmp_path / "bundle")
    assert result.code == 2
    assert re.search(message, result.err)
    assert "Traceback" not in result.err
    assert not (tmp_path / "bundle").exists()


def build_unsupported_model(kind: str) -> keras_models.KerasModel:
    keras = keras_models.import_keras()
    layers = keras.layers
    image, vector = keras.Input((28, 28, 1), name="photo"), keras.Input((3,), name="vector")
    color_image = keras.Input((32, 32, 3))
    flat, softmax = layers.Flatten()(image), layers.Dense(10, "softmax")
    models = {
        "two inputs": lambda: keras.Model([image, vector], softmax(layers.Concatenate()([flat, vector]))),
        "two outputs": lambda: keras.Model(image, [softmax(flat), layers.Dense(2)(flat)]),
        "channels first": lambda: keras.Sequential([keras.Input((1, 28, 28)), layers.Flatten(), softmax]),
        "one softmax unit": lambda: keras.Model(image, layers.Dense(1, "softmax")(flat)),
        "image output": lambda: keras.Model(image, layers.Conv2D(3, 3)(image)),
        "sigmoids": lambda: keras.Model(image, layers.Dense(10, "sigmoid")(flat)),
        "nan": lambda: keras.Model(image, softmax(layers.Rescaling(float("nan"))(flat))),
        "few classes": lambda: keras.Model(image, layers.Dense(5, "softmax")(flat)),
        "other shape": lambda: keras.Model(color_image, softmax(layers.Flatten()(color_image))),
        "unbuilt": lambda: keras.Sequential([layers.Flatten(), layers.Dense(10, "softmax")]),
        "code": lambda: keras.Model(image, softmax(layers.Lambda(lambda x: x * 2, name="lambda_code")(flat))),
    }
    return models[kind]()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("two inputs", "has 2 inputs: photo, vector"),
        ("two outputs", "has 2 outputs: "),
        ("channels first", "the model's input [1, 28, 28] has the channels first; build it again"),
        ("one softmax unit", "the model's outputs are not probabilities"),
        ("image output", "has output shape [None, 26, 26, 3]"),
        ("sigmoids", "the model's outputs are not probabilities; add a softmax at its end"),
        ("nan", "not finite"),
        ("few classes", "the model has 5 classes, the data set has 10"),
        ("other shape", "the model is for images of shape [32, 32, 3], the data set has [28, 28, 1]"),
        ("unbuilt", "has no input shape"),
        ("code", "layer lambda_code in "),
    ],
)
def test_model_that_is_not_a_matching_image_classifier_is_rejected(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, kind: str, message: str
) -> None:
    build_unsupported_model(kind).save(tmp_path / "model.keras")
    result = mnistkit("export", tmp_path / "model.keras", "--out", tmp_path / "bundle", "--data", few_digits)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "bundle").exists()


def test_too_few_calibration_images_are_rejected(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    data = dataset.load(few_digits)
    x_train, y_train = data.x_train[:499], data.y_train[:499]
    np.savez(tmp_path / "fewer.npz", x_train=x_train, y_train=y_train, x_test=data.x_test[:], y_test=data.y_test)
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", "--data", tmp_path / "fewer.npz")
    assert result.code == 2
    assert "calibration needs 500 training images, but only 416 are available" in result.err
    assert not (tmp_path / "b").exists()
