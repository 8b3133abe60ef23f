"""Every recipe: its network is the published one, it trains, and what is exported of it answers the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import Cli

from mnistkit.core import files, records
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, recipes
from mnistkit.training.model import build_model
from mnistkit.training.train import History, TrainingRun

PARAMETERS = {
    "cnn": 93_322,
    "cnn-holdout": 93_322,
    "cnn-tuned": 93_322,
    "mlp-512": 407_050,
    "mlp-dropout": 407_050,
    "mlp-128x2": 118_282,
}


def test_the_list_shows_every_recipe(mnistkit: Cli) -> None:
    outcome = mnistkit("recipes")
    assert outcome.code == 0
    assert all(name in outcome.out for name in recipes.RECIPES)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_shows_its_network(mnistkit: Cli, name: str) -> None:
    outcome = mnistkit("recipes", name)
    assert outcome.code == 0
    assert recipes.RECIPES[name].source in outcome.out
    shown = [line.split()[1] for line in outcome.out.splitlines() if "×" in line or "Dense" in line]
    assert [layer.kind for layer in recipes.RECIPES[name].layers if layer.kind in shown]
    assert "Dense" in shown


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_a_network_has_as_many_parameters_as_its_author_says(name: str, parameters: int, digits: Dataset) -> None:
    model = build_model(recipes.RECIPES[name], digits.image_shape, digits.classes)
    assert keras_models.count_parameters(model) == parameters


def test_batch_normalisation_is_counted_wherever_it_stands() -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    first, second, third = (layers.BatchNormalization() for _ in range(3))
    dense = layers.Dense(4), layers.Dense(10, "softmax")
    model = keras.Sequential([keras.Input((28, 28, 1)), first, layers.Flatten(), dense[0], second, third, dense[1]])
    assert keras_models.count_parameters(model) == 2 + (784 * 4 + 4) + 0 + 2 * 4 + (4 * 10 + 10)


def test_the_edge_network_is_within_its_budget(digits: Dataset) -> None:
    model = build_model(recipes.RECIPES["edge"], digits.image_shape, digits.classes)
    assert keras_models.count_macs(model) <= 450_000


def test_unit_columns_are_those_of_keras_normalize(digits: Dataset) -> None:
    keras = keras_models.import_keras()
    model = build_model(recipes.RECIPES["mlp-128x2"], digits.image_shape, digits.classes)
    images = digits.x_test[:50]
    ours = keras.Sequential(model.layers[:2]).predict(images.astype(np.float32), verbose=0)[:, 0]  # [N, x, y]
    published = keras.utils.normalize(images[..., 0], axis=1)
    np.testing.assert_allclose(ours.transpose(0, 2, 1), published, atol=1e-6)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_trains_exports_and_verifies(mnistkit: Cli, name: str, few_digits: Path, tmp_path: Path) -> None:
    assert mnistkit("train", "--recipe", name, "--epochs", 2, "--data", few_digits, "--out", tmp_path).code == 0
    assert mnistkit("export", tmp_path / "model.keras", "--data", few_digits).code == 0
    outcome = mnistkit("verify", tmp_path / "bundle", "--margin", 3, "--json", "-")
    assert outcome.code == 0
    for row in json.loads(outcome.out)["rows"]:
        assert row["parity"]["agreement"] >= (1 if "float32" in row["artifact"] else 0.95), row


def test_the_figures_of_validation_are_recorded_and_pictured(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    arguments = ("--recipe", "mlp-512", "--validation", "first", "--epochs", 2, "--optimizer", "adam")
    outcome = mnistkit("train", *arguments, "--data", few_digits, "--out", tmp_path)
    assert outcome.code == 0
    assert "val_accuracy" in outcome.err
    history = records.read(tmp_path / "history.json", History, "")
    run = records.read(tmp_path / "run.json", TrainingRun, "")
    assert {len(values) for values in history.figures.values()} == {2}
    assert run.validation_accuracy == history.figures["val_accuracy"][-1]
    assert (run.validation, run.optimizer, run.published) == ("first", "adam", None)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("which", "kept", "held"),
    [("first", slice(10_000, None), slice(10_000)), ("last", slice(50_000), slice(50_000, None))],
)
def test_a_sixth_is_held_out(digits: Dataset, which: str, kept: slice, held: slice) -> None:
    training, held_out = digits.hold_out(which)
    assert held_out
    assert len(held_out.images) == 10_000
    np.testing.assert_array_equal(training.images, digits.x_train[kept])
    np.testing.assert_array_equal(held_out.labels, digits.y_train[held])


def test_too_few_images_to_hold_any_out_are_refused(mnistkit: Cli, tmp_path: Path) -> None:
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5)
    np.savez(tmp_path / "five.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ("--data", tmp_path / "five.npz", "--out", tmp_path / "out")
    outcome = mnistkit("train", "--validation", "last", *arguments)
    assert outcome.code == 2
    assert "a sixth of 5 training images is none; train with --validation none" in outcome.err
    assert not (tmp_path / "out").exists()


# --- going on with a trained model ------------------------------------------------------------------------------


def test_a_trained_model_goes_on_with_another_optimizer(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    common = ("train", "--recipe", "mlp-128x2", "--data", few_digits)
    first, second = tmp_path / "first", tmp_path / "second"
    assert mnistkit(*common, "--epochs", 2, "--out", first).code == 0
    going_on = ("--from", first / "model.keras", "--optimizer", "adagrad", "--epochs", 1)
    assert mnistkit(*common, *going_on, "--out", second).code == 0
    before, after = (records.read(folder / "history.json", History, "") for folder in (first, second))
    assert after.figures["loss"][0] < before.figures["loss"][0]
    run = records.read(second / "run.json", TrainingRun, "")
    assert (run.optimizer, run.init_from_sha256) == ("adagrad", files.sha256_of(first / "model.keras"))


def test_a_model_that_does_not_fit_the_data_is_refused(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ("--data", tmp_path / "tiny.npz", "--out", tmp_path / "out")
    outcome = mnistkit("train", "--from", workspace / "model.keras", *arguments)
    assert outcome.code == 2
    assert "the model takes images [28, 28, 1] in 10 classes, the data has [8, 8, 1] in 10" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_legacy_h5_model_is_read(mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path) -> None:
    model = keras_models.load(workspace / "model.keras")
    model.save(tmp_path / "model.h5")
    again = keras_models.load(tmp_path / "model.h5")
    for weights, same in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)
    outcome = mnistkit("predict", tmp_path / "model.h5", "--data", few_digits)
    assert outcome.code == 0
    (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    outcome = mnistkit("predict", tmp_path / "model.keras", "--data", few_digits)
    assert outcome.code == 2
    assert "rename it to end in .h5" in outcome.err


def test_an_h5_model_with_code_in_it_is_refused(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    doubled = layers.Lambda(lambda pixels: pixels * 2)(layers.Flatten()(image))
    keras.Model(image, layers.Dense(10, "softmax")(doubled)).save(tmp_path / "model.h5")
    outcome = mnistkit("predict", tmp_path / "model.h5", "--data", few_digits)
    assert outcome.code == 2
    assert "can't be loaded" in outcome.err


# --- looking at images and answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 7])
def test_a_model_and_its_artifacts_predict_alike(mnistkit: Cli, workspace: Path, digits: Dataset, index: int) -> None:
    model = mnistkit("predict", workspace / "model.keras", "--index", index)
    artifact = mnistkit("predict", workspace / "bundle", "--index", index)
    assert (model.code, artifact.code) == (0, 0)
    assert model.out == artifact.out
    assert f"and it is {digits.y_test[index]}" in model.out
    named = mnistkit("predict", workspace / "bundle", "--index", index, "--artifact", "model.int8.onnx")
    assert named.out.splitlines()[-1] == model.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.keras", "--index", 10_000), "there is no image 10000; choose one from 0 to 9999"),
        (("bundle", "--index", -1), "there is no image -1"),
        (
            ("bundle", "--artifact", "model.int4.onnx"),
            "has no artifact model.int4.onnx; there are: model.float32.tflite",
        ),
    ],
)
def test_what_is_not_there_is_not_predicted(
    mnistkit: Cli, workspace: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = mnistkit("predict", workspace / arguments[0], *arguments[1:])
    assert outcome.code == 2
    assert message in outcome.err


def test_images_are_shown_with_their_labels(mnistkit: Cli, tmp_path: Path) -> None:
    outcome = mnistkit("data", "show", "--index", 7, "--count", 2)
    assert outcome.code == 0
    assert "7: 3" in outcome.out
    assert "8: 1" in outcome.out
    assert "██" in outcome.out
    outcome = mnistkit("data", "show", "--test", "--count", 25, "--png", tmp_path / "digits.png")
    assert outcome.code == 0
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert mnistkit("data", "show", "--index", 60_000).code == 2
