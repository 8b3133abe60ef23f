"""Recipes: their networks match the sources, and they train, export and verify."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import FAST, TRAINING_SEED, Cli

from mnistkit.core import files, records
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, loading, recipes
from mnistkit.training.model import build_model
from mnistkit.training.train import History, TrainingRun, train

PARAMETERS = {  # as in the sources
    "cnn": 93_322,
    "cnn-holdout": 93_322,
    "cnn-tuned": 93_322,
    "mlp-512": 407_050,
    "mlp-dropout": 407_050,
    "mlp-128x2": 118_282,
}
EPOCHS, BATCH_SIZE = 5, 32  # on 2,000 images: enough for 90% accuracy, without which int8 changes many predictions


@pytest.fixture(scope="module")
def train_recipe(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a recipe on 2,000 images, once for all tests of this module. Returns the output folder."""

    @functools.cache
    def trained(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        recipe = recipes.find(name).override(epochs=EPOCHS, batch_size=BATCH_SIZE)
        train(recipe, dataset.load(few_digits), TRAINING_SEED, folder)
        return folder

    return trained


def test_recipes_lists_every_recipe(mnistkit: Cli) -> None:
    outcome = mnistkit("recipes")
    assert outcome.code == 0
    assert all(name in outcome.out for name in recipes.RECIPES)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipe_shows_its_source_and_layers(mnistkit: Cli, name: str) -> None:
    outcome = mnistkit("recipes", name)
    assert outcome.code == 0
    assert recipes.RECIPES[name].source in outcome.out
    kinds = [layer.kind for layer in recipes.RECIPES[name].layers]
    second_words = [line.split()[1] for line in outcome.out.splitlines() if len(line.split()) > 1]
    assert [word for word in second_words if word in kinds] == kinds


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameter_count_matches_the_source(name: str, parameters: int, digits: Dataset) -> None:
    model = build_model(recipes.RECIPES[name], digits.image_shape, digits.classes)
    assert keras_models.count_parameters(model) == parameters


def test_batch_normalization_is_counted_as_folded() -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.BatchNormalization(),  # no layer to fold into: a scale and an offset
            layers.Dense(5, use_bias=False),
            layers.BatchNormalization(),  # becomes the bias
            layers.Flatten(),
            layers.Dense(4),
            layers.BatchNormalization(),  # folds into the existing bias
            layers.BatchNormalization(),  # follows a layer without use_bias
            layers.Dense(10, "softmax"),
        ]
    )
    expected = 2 + 5 + 5 + (28 * 28 * 5 * 4 + 4) + 0 + 2 * 4 + (4 * 10 + 10)
    assert keras_models.count_parameters(model) == expected


def test_edge_is_within_its_mac_budget(digits: Dataset) -> None:
    model = build_model(recipes.RECIPES["edge"], digits.image_shape, digits.classes)
    assert keras_models.count_macs(model) <= 450_000


def test_mlp_128x2_normalizes_like_keras_normalize(digits: Dataset) -> None:
    keras = keras_models.import_keras()
    model = build_model(recipes.RECIPES["mlp-128x2"], digits.image_shape, digits.classes)
    images = digits.x_test[:50]
    normalized = keras.Sequential(model.layers[:2]).predict(images.astype(np.float32), verbose=0)[:, 0]  # [N, x, y]
    expected = keras.utils.normalize(images[..., 0], axis=1)  # [N, y, x]
    np.testing.assert_allclose(normalized.transpose(0, 2, 1), expected, atol=1e-6)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipe_trains_exports_and_verifies(
    mnistkit: Cli, name: str, train_recipe: Callable[[str], Path], few_digits: Path, tmp_path: Path
) -> None:
    model, bundle = train_recipe(name) / "model.keras", tmp_path / "bundle"
    assert mnistkit("export", model, "--data", few_digits, "--out", bundle).code == 0
    outcome = mnistkit("verify", bundle, *FAST, "--margin", 5, "--json", "-")
    assert outcome.code == 0
    for row in json.loads(outcome.out)["rows"]:
        # On 500 images: rounding may change one prediction of a float32 artifact, quantization 25.
        assert row["parity"]["agreement"] >= (0.998 if "float32" in row["artifact"] else 0.95), row


def test_validation_metrics_are_recorded_and_plotted(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    overrides = "--validation", "first", "--epochs", 2, "--optimizer", "adam", "--seed", TRAINING_SEED
    outcome = mnistkit("train", "--recipe", "mlp-512", *overrides, "--data", few_digits, "--out", tmp_path)
    assert outcome.code == 0
    assert "val_accuracy" in outcome.err
    history = records.read(tmp_path / "history.json", History, "")
    run = records.read(tmp_path / "run.json", TrainingRun, "")
    assert {len(values) for values in history.metrics.values()} == {2}
    assert run.validation_accuracy == history.metrics["val_accuracy"][-1]
    assert (run.validation, run.optimizer, run.published) == ("first", "adam", None)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("which", "kept", "held"),
    [("first", slice(10_000, None), slice(10_000)), ("last", slice(50_000), slice(50_000, None))],
)
def test_first_or_last_sixth_is_held_out(digits: Dataset, which: str, kept: slice, held: slice) -> None:
    training, held_out = digits.hold_out(which)
    assert held_out
    assert len(held_out.images) == 10_000
    np.testing.assert_array_equal(training.images, digits.x_train[kept])
    np.testing.assert_array_equal(held_out.labels, digits.y_train[held])


def test_holding_out_from_too_few_images_is_rejected(mnistkit: Cli, tmp_path: Path) -> None:
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5)
    np.savez(tmp_path / "five.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ("--data", tmp_path / "five.npz", "--out", tmp_path / "out")
    outcome = mnistkit("train", "--validation", "last", *arguments)
    assert outcome.code == 2
    assert "5 training images are too few to hold out a sixth; train with --validation none" in outcome.err
    assert not (tmp_path / "out").exists()


# --- models from files ------------------------------------------------------------------------------------------


def test_training_continues_from_a_model(
    mnistkit: Cli, train_recipe: Callable[[str], Path], few_digits: Path, tmp_path: Path
) -> None:
    first, second = train_recipe("mlp-128x2"), tmp_path / "second"
    options = "--optimizer", "adagrad", "--epochs", 1, "--seed", TRAINING_SEED, "--data", few_digits, "--out", second
    outcome = mnistkit("train", "--recipe", "mlp-128x2", "--init-from", first / "model.keras", *options)
    assert outcome.code == 0
    before, after = (records.read(folder / "history.json", History, "") for folder in (first, second))
    assert after.metrics["loss"][0] < before.metrics["loss"][0]
    run = records.read(second / "run.json", TrainingRun, "")
    assert (run.optimizer, run.init_from_sha256) == ("adagrad", files.sha256_of(first / "model.keras"))


def test_model_that_does_not_match_the_data_is_rejected(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ("--data", tmp_path / "tiny.npz", "--out", tmp_path / "out")
    outcome = mnistkit("train", "--init-from", workspace / "model.keras", *arguments)
    assert outcome.code == 2
    assert "the model is for [28, 28, 1] images in 10 classes, the data set has [8, 8, 1] images in 10" in outcome.err
    assert not (tmp_path / "out").exists()


def test_legacy_h5_model_is_loaded(mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path) -> None:
    model = loading.load(workspace / "model.keras")
    model.save(tmp_path / "model.h5")
    loaded = loading.load(tmp_path / "model.h5")
    for actual, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert mnistkit("predict", tmp_path / "model.h5", "--data", few_digits).code == 0


def test_h5_model_with_another_suffix_is_rejected(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    loading.load(workspace / "model.keras").save(tmp_path / "model.h5")
    (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    outcome = mnistkit("predict", tmp_path / "model.keras", "--data", few_digits)
    assert outcome.code == 2
    assert "rename it to end in .h5" in outcome.err


def test_h5_model_with_code_is_rejected(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras = keras_models.import_keras()
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    doubled = layers.Lambda(lambda pixels: pixels * 2)(layers.Flatten()(image))
    keras.Model(image, layers.Dense(10, "softmax")(doubled)).save(tmp_path / "model.h5")
    outcome = mnistkit("predict", tmp_path / "model.h5", "--data", few_digits)
    assert outcome.code == 2
    assert "is a Lambda layer: it contains Python code" in outcome.err


# --- predict and data show --------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 7])
def test_model_and_artifacts_predict_the_same(mnistkit: Cli, workspace: Path, digits: Dataset, index: int) -> None:
    model = mnistkit("predict", workspace / "model.keras", "--index", index)
    artifact = mnistkit("predict", workspace / "bundle", "--index", index)
    assert (model.code, artifact.code) == (0, 0)
    assert model.out == artifact.out
    assert f"label {digits.y_test[index]}: " in model.out
    quantized = mnistkit("predict", workspace / "bundle", "--index", index, "--artifact", "model.int8.onnx")
    assert quantized.out.splitlines()[-1] == model.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.keras", "--index", 10_000), "image index 10000 is out of range; choose one from 0 to 9999"),
        (("bundle", "--index", -1), "image index -1 is out of range"),
        (
            ("bundle", "--artifact", "model.int4.onnx"),
            "has no artifact model.int4.onnx; choose from model.float32.tflite",
        ),
    ],
)
def test_missing_image_or_artifact_is_reported(
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
