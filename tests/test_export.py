"""The exported bundle: what is in it, and that it tells the truth."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Cli

from mnistkit.bundle import Artifact, Bundle, open_bundle
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.runtimes import default_for
from mnistkit.runtimes.inference import predict
from mnistkit.training import keras_models
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


@pytest.fixture(scope="session")
def opened(workspace: Path) -> Bundle:
    return open_bundle(workspace / "bundle")


def artifact(opened: Bundle, name: str) -> Artifact:
    (found,) = (artifact for artifact in opened.manifest.artifacts if artifact.file == name)
    return found


def test_the_bundle_holds_what_a_device_needs_and_nothing_else(opened: Bundle) -> None:
    names = sorted(path.name for path in opened.path.iterdir())
    assert names == sorted([*NAMES, "manifest.json", "reference.npz", "testset.npz"])
    assert [artifact.file for artifact in opened.manifest.artifacts] == NAMES
    assert sum(path.stat().st_size for path in opened.path.iterdir()) < 4_000_000


def test_the_reference_is_what_the_original_answers(opened: Bundle, workspace: Path, digits: Dataset) -> None:
    evaluation = opened.evaluation_set()
    np.testing.assert_array_equal(evaluation.images, digits.x_test)
    np.testing.assert_array_equal(evaluation.labels, digits.y_test)
    model = keras_models.load(workspace / "model.keras")
    np.testing.assert_allclose(evaluation.reference, keras_models.predict(model, digits.x_test), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_says_what_the_runtime_finds(opened: Bundle, name: str) -> None:
    entry = artifact(opened, name)
    path = opened.file(entry)
    assert entry.bytes == path.stat().st_size
    assert (entry.macs, entry.parameters) == (2_378_368, 93_322)
    assert entry.tool_versions["tensorflow"]
    assert (entry.input.name, entry.output.name) == ("image", "probabilities")
    if entry.format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found_in,), (found_out,) = session.get_inputs(), session.get_outputs()
        assert (found_in.name, found_in.shape, found_in.type) == ("image", ["N", 28, 28, 1], "tensor(float)")
        assert (found_out.name, found_out.shape, found_out.type) == ("probabilities", ["N", 10], "tensor(float)")
        assert (entry.input.shape, entry.input.dtype) == ((None, 28, 28, 1), "float32")
        assert "Softmax" in entry.operators
        assert ("QuantizeLinear" in entry.operators) == (entry.quantization == "int8")
        assert ("MatMulInteger" in entry.operators) == (entry.quantization == "dynamic")
        assert "ConvInteger" not in entry.operators
        opset, runtime = {"float32": ("9", "0.3"), "dynamic": ("11", "1.0"), "int8": ("13", "1.6")}[entry.quantization]
        assert (entry.requires["ONNX opset"], entry.requires["onnxruntime"]) == (opset, runtime)
    else:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        for said, (found,) in (
            (entry.input, interpreter.get_input_details()),
            (entry.output, interpreter.get_output_details()),
        ):
            assert (said.shape, said.dtype) == (tuple(found["shape"]), np.dtype(found["dtype"]).name)
            assert (said.scale or 0, said.zero_point or 0) == found["quantization"]
        assert "SOFTMAX" in entry.operators
        major, minor, _ = map(int, entry.requires["TensorFlow Lite"].split("."))
        assert (major, minor) <= ((2, 4) if entry.quantization == "dynamic" else (1, 15))


def test_int8_tflite_takes_raw_bytes(opened: Bundle) -> None:
    tensor = artifact(opened, "model.int8.tflite").input
    assert (tensor.dtype, tensor.scale, tensor.zero_point) == ("uint8", 1.0, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".tflite")])
def test_the_tflite_graph_runs_in_one_delegate_partition(opened: Bundle, name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(opened.path / name))
    interpreter.allocate_tensors()
    *operators, delegate = interpreter._get_ops_details()  # noqa: SLF001
    assert [node["op_name"] for node in (*operators, delegate)].count("DELEGATE") == 1
    # The delegate's output and inputs stand for all that it took, so what makes and uses them is left outside.
    names = [node["op_name"] for node in operators]
    first = next(i for i, node in enumerate(operators) if not set(node["outputs"]) & set(delegate["inputs"]))
    (last,) = (i for i, node in enumerate(operators) if list(node["outputs"]) == list(delegate["outputs"]))
    outside = (["QUANTIZE"], ["SOFTMAX", "QUANTIZE"]) if "int8" in name else ([], [])
    assert (names[:first], names[last + 1 :]) == outside


# A dynamic range is taken over the batch: with others beside it, an image gives other answers.
@pytest.mark.parametrize("name", [name for name in NAMES if "dynamic" not in name])
def test_every_batch_size_gives_the_same_answers_in_order(opened: Bundle, name: str) -> None:
    entry = artifact(opened, name)
    runtime = default_for(entry.format)
    images = opened.evaluation_set().images[:53]
    together = predict(runtime, opened.file(entry), images, lambda amount: None)
    session = runtime.open(opened.file(entry))
    assert session.batch == 1
    for image, expected in zip(images, together, strict=True):
        session.load(image[None])
        session.run()
        np.testing.assert_allclose(session.read()[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["model.float32.tflite", "model.float32.onnx"])
def test_float32_gives_the_originals_probabilities(opened: Bundle, name: str) -> None:
    entry, evaluation = artifact(opened, name), opened.evaluation_set()
    runtime = default_for(entry.format)
    answers = predict(runtime, opened.file(entry), evaluation.images[:1000], lambda amount: None)
    np.testing.assert_allclose(answers, evaluation.reference[:1000], atol=1e-5)


def test_calibration_is_seeded_balanced_and_from_the_training_images(digits: Dataset) -> None:
    chosen, again, other = (calibration.choose(digits, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(chosen.images, again.images)
    assert chosen.record == again.record != other.record
    assert chosen.images.shape == (500, 28, 28, 1)
    assert (chosen.images.min(), chosen.images.max()) == (0, 255)
    places = {image.tobytes(): label for image, label in zip(digits.x_train, digits.y_train, strict=True)}
    contents = [image.astype(np.uint8).tobytes() for image in chosen.images[1:]]  # the first was given the full range
    counts = np.bincount([places[content] for content in contents], minlength=10)
    assert counts.min() >= 49
    assert counts.max() == 50
    assert not set(contents) & {image.tobytes() for image in chosen.held_out.images}
    assert len(chosen.held_out.images) == 10_000


def test_images_that_stand_in_the_test_set_are_never_calibrated_on(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    data = dataset.load(few_digits)
    leaking = Dataset("leaking", data.x_train, data.y_train, data.x_train[:300], data.y_train[:300])
    chosen = calibration.choose(leaking, 0)
    assert chosen.record.excluded == 300
    known = {image.tobytes() for image in leaking.x_test}
    assert not known & {image.astype(np.uint8).tobytes() for image in chosen.images}
    x, y = data.x_train, data.y_train
    np.savez(tmp_path / "same.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    outcome = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", "--data", tmp_path / "same.npz")
    assert outcome.code == 2
    assert "may choose from 0, 2,000 more stand in the test set too" in outcome.err


# --- what is refused --------------------------------------------------------------------------------------------


def test_a_bundle_that_is_there_is_kept_unless_forced(
    mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path
) -> None:
    manifest = (bundle / "manifest.json").read_bytes()
    arguments = ("export", workspace / "model.keras", "--out", bundle, "--data", few_digits)
    outcome = mnistkit(*arguments)
    assert outcome.code == 2
    assert "is there already; replace it with --force" in outcome.err
    assert (bundle / "manifest.json").read_bytes() == manifest
    assert mnistkit(*arguments, "--force").code == 0
    assert json.loads((bundle / "manifest.json").read_text())["provenance"]["data"] == "few"
    assert mnistkit("verify", bundle, "--margin", 5).code == 0


def test_a_folder_that_is_no_bundle_is_never_replaced(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years' work")
    outcome = mnistkit("export", workspace / "model.keras", "--out", tmp_path, "--force")
    assert outcome.code == 2
    assert "is no bundle" in outcome.err
    assert (tmp_path / "thesis.txt").read_text() == "ten years' work"


def test_a_folder_with_another_kind_of_manifest_is_never_replaced(mnistkit: Cli, workspace: Path, bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    outcome = mnistkit("export", workspace / "model.keras", "--out", bundle, "--force")
    assert (outcome.code, "is no bundle" in outcome.err) == (2, True)
    (bundle / "notes.txt").unlink()
    (bundle / "manifest.json").write_text('{"name": "a browser extension"}')
    outcome = mnistkit("export", workspace / "model.keras", "--out", bundle, "--force")
    assert (outcome.code, "is no bundle" in outcome.err) == (2, True)


def test_what_a_killed_export_left_does_no_harm(mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path) -> None:
    for name in (f".tmp-{os.getpid()}-bundle", f".old-{os.getpid()}-bundle"):
        shutil.copytree(bundle, bundle.with_name(name))
    arguments = ("export", workspace / "model.keras", "--data", few_digits, "--out", bundle, "--force")
    assert mnistkit(*arguments).code == 0
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_flattening_channels_first_is_kept(digits: Dataset) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    pair = [layers.Conv2D(3, 3), layers.Flatten(data_format="channels_first"), layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((28, 28, 1)), *pair])
    images = digits.x_test[:20]
    np.testing.assert_allclose(
        keras_models.predict(passes.optimize(model).model, images), keras_models.predict(model, images), atol=1e-6
    )


def cut(workspace: Path, path: Path) -> None:
    path.write_bytes((workspace / "model.keras").read_bytes()[:5000])


def spoilt_inside(workspace: Path, path: Path) -> None:
    content = bytearray((workspace / "model.keras").read_bytes())
    content[300:700] = bytes(400)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda workspace, path: None, "cannot read .*No such file"),
        (lambda workspace, path: path.mkdir(), "cannot read .*Is a directory"),
        (lambda workspace, path: path.write_text("hello"), "is neither a .keras nor an .h5 file"),
        (lambda workspace, path: path.write_bytes(b""), "is neither a .keras nor an .h5 file"),
        (cut, "can't be loaded"),
        (spoilt_inside, "can't be loaded"),
    ],
    ids=["absent", "folder", "text", "empty", "cut", "spoilt inside"],
)
def test_a_broken_model_is_refused_in_one_line(
    mnistkit: Cli, workspace: Path, tmp_path: Path, make: Callable[[Path, Path], object], message: str
) -> None:
    make(workspace, tmp_path / "model.keras")
    outcome = mnistkit("export", tmp_path / "model.keras", "--out", tmp_path / "bundle")
    assert outcome.code == 2
    assert re.search(message, outcome.err)
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "bundle").exists()


def network(kind: str) -> keras_models.KerasModel:
    keras = keras_models.import_keras()
    layers = keras.layers
    image, wide, more = keras.Input((28, 28, 1)), keras.Input((32, 32, 3)), keras.Input((3,))
    flat, answer = layers.Flatten()(image), layers.Dense(10, "softmax")
    networks = {
        "two inputs": lambda: keras.Model([image, more], answer(layers.Concatenate()([flat, more]))),
        "two outputs": lambda: keras.Model(image, [answer(flat), layers.Dense(2)(flat)]),
        "flat input": lambda: keras.Sequential([keras.Input((784,)), answer]),
        "image output": lambda: keras.Model(image, layers.Conv2D(3, 3)(image)),
        "sigmoids": lambda: keras.Model(image, layers.Dense(10, "sigmoid")(flat)),
        "nan": lambda: keras.Model(image, answer(layers.Rescaling(float("nan"))(flat))),
        "few classes": lambda: keras.Model(image, layers.Dense(5, "softmax")(flat)),
        "other shape": lambda: keras.Model(wide, answer(layers.Flatten()(wide))),
        "unbuilt": lambda: keras.Sequential([layers.Flatten(), layers.Dense(10, "softmax")]),
        "code": lambda: keras.Model(image, answer(layers.Lambda(lambda x: x * 2)(flat))),
    }
    return networks[kind]()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("two inputs", "2 inputs and 1 outputs"),
        ("two outputs", "1 inputs and 2 outputs"),
        ("flat input", "takes the shape [None, 784]"),
        ("image output", "gives the shape [None, 26, 26, 3]"),
        ("sigmoids", "no probabilities; end it with a softmax"),
        ("nan", "not finite"),
        ("few classes", "takes images [28, 28, 1] in 5 classes, the data has [28, 28, 1] in 10"),
        ("other shape", "takes images [32, 32, 3] in 10 classes, the data has [28, 28, 1] in 10"),
        ("unbuilt", "was saved before it knew its input"),
        ("code", "can't be loaded"),
    ],
)
def test_a_model_that_is_no_fitting_classifier_is_refused(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, kind: str, message: str
) -> None:
    network(kind).save(tmp_path / "model.keras")
    outcome = mnistkit("export", tmp_path / "model.keras", "--out", tmp_path / "bundle", "--data", few_digits)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "bundle").exists()


def test_too_few_calibration_images_are_refused(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    data = dataset.load(few_digits)
    x_train, y_train = data.x_train[:499], data.y_train[:499]
    np.savez(tmp_path / "fewer.npz", x_train=x_train, y_train=y_train, x_test=data.x_test, y_test=data.y_test)
    outcome = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", "--data", tmp_path / "fewer.npz")
    assert outcome.code == 2
    assert "calibration wants 500 training images and may choose from 416" in outcome.err
    assert not (tmp_path / "b").exists()
