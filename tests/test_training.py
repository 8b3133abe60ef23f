"""`train`: its files and output, reproducibility, and invalid options and data."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import TRAINING_SEED, Cli

from mnistkit.core import records
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, loading, recipes
from mnistkit.training.model import build_model
from mnistkit.training.train import History, TrainingRun


def test_training_records_settings_metrics_and_accuracy(trained: Path, few_digits: Path) -> None:
    data = dataset.load(few_digits)
    run = records.read(trained / "run.json", TrainingRun, "")
    history = records.read(trained / "history.json", History, "")
    settings = run.recipe, run.epochs, run.batch_size, run.seed, run.optimizer
    assert settings == ("cnn", 2, 64, TRAINING_SEED, "rmsprop")
    assert (run.parameters, run.macs) == (93_322, 2_794_240)
    assert run.data_sha256 == data.digest
    assert run.init_from_sha256 is None
    assert {"python", "tensorflow", "keras", "mnistkit"} <= run.versions.keys()
    assert {name: len(values) for name, values in history.metrics.items()} == {"accuracy": 2, "loss": 2}
    assert len(history.seconds) == 2
    assert history.metrics["loss"][1] < history.metrics["loss"][0]
    assert run.test_accuracy > 0.3  # random guessing: 0.1
    probabilities = keras_models.predict(loading.load(trained / "model.keras"), data.x_test)
    assert (probabilities.argmax(axis=1) == data.y_test).mean() == run.test_accuracy


def test_default_recipe_is_the_published_network(digits: Dataset) -> None:
    cnn = recipes.find(recipes.DEFAULT)
    model = build_model(cnn, digits.image_shape, digits.classes)
    shapes = [tuple(weight.shape) for weight in model.get_weights()]
    assert shapes == [
        (3, 3, 1, 32),
        (32,),
        (3, 3, 32, 64),
        (64,),
        (3, 3, 64, 64),
        (64,),
        (576, 64),
        (64,),
        (64, 10),
        (10,),
    ]
    assert (cnn.epochs, cnn.batch_size, cnn.optimizer.name) == (5, 64, "rmsprop")


def test_only_the_same_seed_reproduces_the_weights(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        outcome = mnistkit("train", "--epochs", 1, "--seed", seed, "--data", few_digits, "--out", tmp_path / name)
        assert outcome.code == 0
        arrays = loading.load(tmp_path / name / "model.keras").get_weights()
        weights.append([array.tobytes() for array in arrays])
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_without_a_terminal_only_a_line_per_epoch_and_task_is_printed(
    mnistkit: Cli, few_digits: Path, tmp_path: Path
) -> None:
    options = "--epochs", 2, "--seed", TRAINING_SEED, "--data", few_digits
    outcome = mnistkit("train", *options, "--out", tmp_path / "out")
    lines = outcome.err.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert "training cnn" in lines[2]
    assert "test accuracy" in lines[3]
    assert len(lines) == 4
    assert outcome.out.startswith("cnn: 93,322 parameters")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "curves.png",
        "history.json",
        "model.keras",
        "run.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "cmn"), "unknown recipe 'cmn'; did you mean cnn?"),
        (("--recipe", "???"), "unknown recipe '???'; choose one of cnn, cnn-holdout"),
        (("--epochs", "0"), "--epochs is 0; it must be from 1 to 1,000,000"),
        (("--batch-size", "-3"), "--batch-size is -3; it must be from 1"),
        (("--batch-size", "1" + "0" * 30), "it must be from 1"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--epochs", "many"), "'many' is not a valid integer"),
    ],
)
def test_invalid_options_are_rejected_before_data_is_loaded(
    mnistkit: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = mnistkit("train", *arguments, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_diverging_training_is_reported_and_writes_nothing(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverging = dataclasses.replace(recipes.RECIPES["mlp-512"], optimizer=recipes.Optimizer("sgd", peak=1e12))
    monkeypatch.setitem(recipes.RECIPES, "diverging", diverging)
    options = "--seed", TRAINING_SEED, "--data", few_digits, "--out", tmp_path / "out"
    outcome = mnistkit("train", "--recipe", "diverging", *options)
    assert outcome.code == 2
    assert "training diverged in epoch" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_images_too_small_for_the_network_are_rejected(mnistkit: Cli, tmp_path: Path) -> None:
    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    outcome = mnistkit("train", "--data", tmp_path / "tiny.npz", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "images of shape 8×8×1 are too small for recipe cnn" in outcome.err


def test_data_set_determines_image_shape_and_classes(mnistkit: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 20, 24, 3), np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    options = "--epochs", 1, "--seed", TRAINING_SEED, "--out", tmp_path / "out"
    outcome = mnistkit("train", "--data", tmp_path / "own.npz", *options)
    assert outcome.code == 0
    model = loading.load(tmp_path / "out" / "model.keras")
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((None, 20, 24, 3), (None, 3))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["data"] == "own"
