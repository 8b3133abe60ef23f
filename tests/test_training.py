"""Training: what it writes, that it is reproducible, what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support import Cli

from mnistkit.core import records
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, recipes
from mnistkit.training.model import build_model
from mnistkit.training.train import History, TrainingRun


def test_a_short_training_on_the_real_digits_is_recorded(workspace: Path, digits: Dataset) -> None:
    run = records.read(workspace / "run.json", TrainingRun, "")
    history = records.read(workspace / "history.json", History, "")
    assert (run.recipe, run.epochs, run.batch_size, run.seed, run.optimizer) == ("cnn", 1, 64, 7, "rmsprop")
    assert (run.parameters, run.macs) == (93_322, 2_794_240)
    assert run.data_sha256 == digits.digest
    assert {"python", "tensorflow", "keras", "mnistkit"} <= run.versions.keys()
    assert run.test_accuracy > 0.97
    assert [len(values) for values in history.figures.values()] == [1, 1]
    assert len(history.seconds) == 1
    model = keras_models.load(workspace / "model.keras")
    answers = keras_models.predict(model, digits.x_test)
    assert (answers.argmax(axis=1) == digits.y_test).mean() == run.test_accuracy


def test_the_default_recipe_is_the_published_network(digits: Dataset) -> None:
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


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    mnistkit: Cli, few_digits: Path, tmp_path: Path
) -> None:
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        outcome = mnistkit("train", "--epochs", 1, "--seed", seed, "--data", few_digits, "--out", tmp_path / name)
        assert outcome.code == 0
        weights.append([w.tobytes() for w in keras_models.load(tmp_path / name / "model.keras").get_weights()])
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_off_a_terminal_it_prints_a_line_an_epoch_and_no_noise(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    outcome = mnistkit("train", "--epochs", 2, "--data", few_digits, "--out", tmp_path / "out")
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
        (("--recipe", "cmn"), "there is no recipe 'cmn'; did you mean cnn?"),
        (("--recipe", "???"), "there is no recipe '???'; there are: cnn, cnn-holdout"),
        (("--epochs", "0"), "--epochs is 0; it must be from 1 to 1,000,000"),
        (("--batch-size", "-3"), "--batch-size is -3; it must be from 1"),
        (("--batch-size", "1" + "0" * 30), "it must be from 1"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--epochs", "many"), "'many' is not a valid integer"),
    ],
)
def test_bad_options_are_refused_before_anything_is_loaded(
    mnistkit: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = mnistkit("train", *arguments, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_training_that_diverges_is_said_and_nothing_is_written(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = dataclasses.replace(recipes.RECIPES["mlp-512"], optimizer=recipes.Optimizer("sgd", peak=1e12))
    monkeypatch.setitem(recipes.RECIPES, "wild", wild)
    outcome = mnistkit("train", "--recipe", "wild", "--data", few_digits, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "training diverged in epoch" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_images_too_small_for_the_network_are_refused(mnistkit: Cli, tmp_path: Path) -> None:
    import numpy as np

    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    outcome = mnistkit("train", "--data", tmp_path / "tiny.npz", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "cnn doesn't fit images of 8×8×1" in outcome.err


def test_another_data_set_sets_shape_and_classes(mnistkit: Cli, tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 20, 24, 3), np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    outcome = mnistkit("train", "--data", tmp_path / "own.npz", "--epochs", 1, "--out", tmp_path / "out")
    assert outcome.code == 0
    model = keras_models.load(tmp_path / "out" / "model.keras")
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((None, 20, 24, 3), (None, 3))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["data"] == "own"
