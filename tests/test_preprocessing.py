"""The preprocessing of a model is found at export and becomes part of the artifacts; heads and shapes are adapted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import FAST, TRAINING_SEED, Cli

from mnistkit.bundle import Preprocessing, open_bundle
from mnistkit.core import files
from mnistkit.core.errors import DataError, ModelError, OptionError
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, loading
from mnistkit.training.keras_models import KerasModel
from mnistkit_export import preprocessing, preprocessing_search
from mnistkit_export.preprocessing import RAW, PreprocessingOptions
from mnistkit_export.probability_model import ProbabilityModel, to_probability_model

QUICK = "--format", "tflite", "--quantize", "float32"
STANDARD = 33.3, 78.6  # mean and deviation of MNIST's pixels


@pytest.fixture(scope="session")
def cnn(workspace: Path) -> KerasModel:
    """The CNN with the committed weights, which takes raw pixels."""
    return loading.load(workspace / "model.keras")


def expecting(cnn: KerasModel, mean: float, std: float, *, invert: bool = False) -> KerasModel:
    """The CNN without its rescaling by 1/255, with weights that make up for pixels preprocessed to (x - mean) / std."""
    keras = keras_models.import_keras()
    rescaling, *layers = cnn.layers
    assert rescaling.scale == pytest.approx(1 / 255)
    model = keras.models.clone_model(keras.Sequential([keras.Input((28, 28, 1)), *layers]))
    weights = [weight for layer in layers for weight in layer.get_weights()]
    sign, shift = (-1, 255 - mean) if invert else (1, mean)
    kernel = weights[0]
    weights[:2] = kernel * sign * std / 255, weights[1] + kernel.sum(axis=(0, 1, 2)) * shift / 255
    model.set_weights(weights)
    return model


def export(mnistkit: Cli, model: KerasModel, data: Path, folder: Path, *options: object) -> tuple[float, Preprocessing]:
    """Export and verify the model; return the accuracy that `export` measured, and the preprocessing."""
    keras_models.save(model, folder / "model.keras")
    arguments = "export", folder / "model.keras", "--data", data, "--out", folder / "bundle", "--force"
    result = mnistkit(*arguments, *(options or QUICK))
    assert result.code == 0, result.err
    assert mnistkit("verify", folder / "bundle", *FAST[:2], "--margin", 5).code == 0
    provenance = open_bundle(folder / "bundle").manifest.provenance
    return provenance.source_model.accuracy, provenance.preprocessing


@pytest.mark.parametrize(
    ("kind", "mean", "std"), [("unit", 0, 255), ("symmetric", 127.5, 127.5), ("standardize", *STANDARD)]
)
def test_preprocessing_is_found_among_similar_ones(
    cnn: KerasModel, digits: Dataset, kind: str, mean: float, std: float
) -> None:
    data = Dataset("part", digits.x_train[:16_000], digits.y_train[:16_000], digits.x_test, digits.y_test)
    classifier = to_probability_model(expecting(cnn, mean, std), digits.x_test[:10].astype(np.float32))
    search = preprocessing_search.find(classifier, data, 0)
    assert (search.best.preprocessing.kind, search.best.preprocessing.invert, search.undecided) == (kind, False, 1)


def test_preprocessing_is_folded_into_the_artifacts(
    mnistkit: Cli, cnn: KerasModel, few_digits: Path, tmp_path: Path
) -> None:
    expected, _ = export(mnistkit, cnn, few_digits, tmp_path)
    options = *QUICK, "--preprocessing", "unit", "--invert"
    found, _ = export(mnistkit, expecting(cnn, 0, 255, invert=True), few_digits, tmp_path, *options)
    assert found == expected
    (artifact,) = open_bundle(tmp_path / "bundle").manifest.artifacts
    assert not {"MUL", "ADD", "SUB", "DIV"} & set(artifact.operators)


def test_raw_pixels_are_recognized_and_leave_the_model_as_it_is(
    mnistkit: Cli, cnn: KerasModel, few_digits: Path, tmp_path: Path
) -> None:
    _, chosen = export(mnistkit, cnn, few_digits, tmp_path)
    assert chosen == RAW
    changes = open_bundle(tmp_path / "bundle").manifest.provenance.changes
    assert not [change for change in changes if "preprocessing" in change]


@pytest.mark.parametrize(
    ("mean", "std", "invert", "options"),
    [
        (127.5, 255, False, ("--input-range", -0.5, 0.5)),
        (0, 51, True, ("--input-range", 0, 5, "--invert")),
        (100, 50, False, ("--mean", 100, "--std", 50)),
        (0, 255, False, ("--preprocessing", "unit")),
    ],
)
def test_preprocessing_can_be_passed(
    mnistkit: Cli,
    cnn: KerasModel,
    few_digits: Path,
    tmp_path: Path,
    mean: float,
    std: float,
    invert: bool,
    options: tuple[Any, ...],
) -> None:
    expected, _ = export(mnistkit, cnn, few_digits, tmp_path)
    model = expecting(cnn, mean, std, invert=invert)
    assert export(mnistkit, model, few_digits, tmp_path, *QUICK, *options)[0] == expected


@pytest.mark.parametrize(
    ("kind", "axis", "flat"), [("l2-rows", 2, False), ("l2-columns", 1, False), ("l2-image", 1, True)]
)
def test_l2_normalization_is_found_and_survives_quantization(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, kind: str, axis: int, flat: bool
) -> None:
    keras = keras_models.import_keras()
    data = dataset.load(few_digits)
    keras.utils.set_random_seed(TRAINING_SEED)
    images = data.x_train[:, :, :, 0].astype(np.float32)
    shape = (784,) if flat else (28, 28)
    x = keras.utils.normalize(images.reshape(-1, *shape), axis=axis)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(10, "softmax")]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, data.y_train, batch_size=50, epochs=4, verbose=0)
    _, chosen = export(mnistkit, model, few_digits, tmp_path, "--quantize", "float16", "--quantize", "int8")
    assert (chosen.kind, chosen.invert) == (kind, False)


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
def test_flattened_and_two_dimensional_inputs_become_images(
    mnistkit: Cli, cnn: KerasModel, few_digits: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    keras = keras_models.import_keras()
    expected, _ = export(mnistkit, cnn, few_digits, tmp_path)
    inner = expecting(cnn, 0, 255)
    model = keras.Sequential([keras.Input(shape), keras.layers.Reshape((28, 28, 1)), inner])
    found, _ = export(mnistkit, model, few_digits, tmp_path, "--quantize", "float32", "--preprocessing", "unit")
    assert found == expected
    for artifact in open_bundle(tmp_path / "bundle").manifest.artifacts:
        assert artifact.input.shape[1:] == (28, 28, 1)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_one_output_becomes_two_classes(
    mnistkit: Cli, cnn: KerasModel, few_digits: Path, tmp_path: Path, activation: str
) -> None:
    keras = keras_models.import_keras()
    data = dataset.load(few_digits)
    is_large = {"y_train": data.y_train >= 5, "y_test": data.y_test >= 5}
    arrays = {name: array.astype(np.uint8) for name, array in is_large.items()}
    files.write_npz(tmp_path / "large.npz", arrays | {"x_train": data.x_train[:], "x_test": data.x_test[:]})
    unit = keras.layers.Dense(1, activation=activation)
    model = keras.Sequential([keras.Input((28, 28, 1)), cnn, unit])
    unit.set_weights([np.where(np.arange(10) < 5, -20, 20)[:, None].astype(np.float32), np.zeros(1, np.float32)])
    options = "--quantize", "float32", "--preprocessing", "raw"
    found, _ = export(mnistkit, model, tmp_path / "large.npz", tmp_path, *options)
    predicted = keras_models.predict(model, data.x_test)[:, 0] > (0.5 if activation == "sigmoid" else 0)
    assert found == (predicted == is_large["y_test"]).mean()


@pytest.mark.usefixtures("digits")  # of which there are enough to tell similar ones apart
def test_report_compares_the_choice_with_raw_pixels(mnistkit: Cli, cnn: KerasModel, tmp_path: Path) -> None:
    keras_models.save(expecting(cnn, 0, 255, invert=True), tmp_path / "model.keras")
    result = mnistkit("export", tmp_path / "model.keras", *QUICK)
    (line,) = (line for line in result.err.splitlines() if line.startswith("preprocessing: "))
    assert line.startswith("preprocessing: unit inverted (loss 0.0")
    assert " training images; raw (loss " in line
    inspected = mnistkit("inspect", tmp_path / "bundle")
    assert "unit inverted: mean 0, deviation 255" in inspected.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mean", 3), "different numbers of values"),
        (("--mean", "3,4", "--std", 5), "different numbers of values"),
        (("--mean", "1,2", "--std", "1,2"), "2 values for 1 channels"),
        (("--mean", 1, "--std", 0), "the range of the input is empty"),
        (("--mean", 1, "--std", "nan"), "not a list of finite numbers"),
        (("--mean", "x", "--std", 1), "not a list of numbers"),
        (("--input-range", 1, 1), "the range of the input is empty"),
        (("--input-range", 0, 1, "--preprocessing", "unit"), "--input-range is a preprocessing of its own"),
        (("--mean", 1, "--std", 1, "--preprocessing", "l2-rows"), "do not apply to l2-rows"),
        (("--invert",), "--invert needs a preprocessing"),
    ],
)
def test_contradictory_options_are_rejected(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    arguments = "export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "b"
    result = mnistkit(*arguments, *options)
    assert (result.code, message in result.err) == (2, True), result.err


def test_applied_preprocessing_equals_that_of_keras(digits: Dataset) -> None:
    keras = keras_models.import_keras()
    images = digits.x_test[:50]
    values = images[..., 0].astype(np.float32)
    std = values.std(axis=(1, 2), keepdims=True)
    assert (std > 0).all()
    expected = {
        ("unit", (28, 28)): values / 255,
        ("symmetric", (28, 28)): values / 127.5 - 1,
        ("l2-rows", (28, 28)): keras.utils.normalize(values, axis=2),
        ("l2-columns", (28, 28)): keras.utils.normalize(values, axis=1),
        ("l2-image", (784,)): keras.utils.normalize(values.reshape(-1, 784)),
    }
    for (kind, shape), array in expected.items():
        (chosen,) = (item for item in (PreprocessingOptions(kind).resolve(digits),) if item)  # type: ignore[arg-type]
        np.testing.assert_allclose(preprocessing.apply(chosen, images, shape), array, atol=1e-6)


# --- undecided --------------------------------------------------------------------------------------------------


def pretend(probability: Callable[[NDArray[np.float32]], NDArray[np.float32]], model: KerasModel) -> ProbabilityModel:
    """A classifier of two classes, both equally often, that gives class 1 a probability."""

    class Pretended(ProbabilityModel):
        def predict(self, images: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            second = probability(images.reshape(len(images), -1).max(axis=1))
            probabilities = np.stack([1 - second, second], axis=1).astype(np.float32)
            return probabilities, np.log(probabilities)

    return Pretended(model, None, ())


def make_data(count: int) -> Dataset:
    """Images with one bright pixel; of class 1."""
    images = np.zeros((count, 28, 28, 1), np.uint8)
    images[:, 0, 0] = 255
    return Dataset("made", images, np.ones(count, np.int64), images[:1], np.ones(1, np.int64))


def test_too_few_images_to_tell_the_preprocessing_are_an_error(cnn: KerasModel) -> None:
    rng = np.random.default_rng(0)

    def noisy(brightest: NDArray[np.float32]) -> NDArray[np.float32]:
        center = 0.55 if brightest.max() == 255 else 0.65
        return np.clip(center + rng.normal(0, 0.3, len(brightest)), 0.05, 0.95).astype(np.float32)

    search = preprocessing_search.find(pretend(noisy, cnn), make_data(20), 0)
    assert search.undecided > 1
    with pytest.raises(ModelError, match=r"can't be told from 20 training images: .*; pass it with --preprocessing"):
        search.check_decided()


def test_raw_pixels_win_if_the_preprocessing_makes_no_difference(cnn: KerasModel) -> None:
    constant = pretend(lambda brightest: np.full(len(brightest), 0.9, np.float32), cnn)
    search = preprocessing_search.find(constant, make_data(20), 0)
    assert (search.best.preprocessing, search.undecided) == (RAW, 1)


def test_data_without_training_images_need_the_preprocessing(cnn: KerasModel, digits: Dataset) -> None:
    data = Dataset("test", digits.x_train[:0], digits.y_train[:0], digits.x_test, digits.y_test)
    classifier = to_probability_model(cnn, digits.x_test[:10].astype(np.float32))
    with pytest.raises(DataError, match=r"no training images; pass it with --preprocessing"):
        preprocessing_search.find(classifier, data, 0)
    with pytest.raises(DataError, match="pass --mean and --std"):
        PreprocessingOptions("standardize").resolve(data)
    with pytest.raises(OptionError):
        PreprocessingOptions(invert=True).resolve(data)


# --- heads ------------------------------------------------------------------------------------------------------


def dense(activation: str | None) -> list[Any]:
    keras = keras_models.import_keras()
    return [keras.layers.Flatten(), keras.layers.Dense(7, activation=activation)]


HEADS: dict[str, Callable[[Any], list[Any]]] = {
    "softmax": lambda layers: dense("softmax"),
    "softmax layer": lambda layers: [*dense(None), layers.Softmax()],
    "activation layer": lambda layers: [*dense(None), layers.Activation("softmax")],
    "logits": lambda layers: dense(None),
    "nested": lambda layers: [keras_models.import_keras().Sequential(dense("softmax"))],
    "reshaped": lambda layers: [*dense("softmax"), layers.Reshape((7,))],
}


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_probabilities_are_the_softmax_of_the_logits(head: str, functional: bool) -> None:
    keras = keras_models.import_keras()
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6, 5, 1)), keras.layers.Rescaling(0.1), *HEADS[head](keras.layers)])
    if functional:
        model = keras.Model(model.inputs, model.outputs)
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 1)).astype(np.float32)
    classifier = to_probability_model(model, images)
    outputs = keras_models.predict(model, images)
    expected = outputs if head != "logits" else np.asarray(keras.ops.softmax(outputs))
    probabilities, logits = classifier.predict(images)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(keras.ops.softmax(logits)), expected, atol=1e-6)
    np.testing.assert_allclose(keras_models.predict(classifier.model, images), expected, atol=1e-6)
    assert ("softmax added" in classifier.changes) == (head == "logits")


# --- files ------------------------------------------------------------------------------------------------------


def depthwise_model() -> KerasModel:
    keras = keras_models.import_keras()
    layers = keras.layers
    parts = layers.DepthwiseConv2D(3), layers.SeparableConv2D(2, 3), layers.Conv2DTranspose(2, 2), layers.Flatten()
    return keras.Sequential([keras.Input((12, 12, 2)), *parts, layers.Dense(4, "softmax")])


def test_options_that_only_keras_2_stored_are_ignored(tmp_path: Path) -> None:
    import h5py

    model = depthwise_model()
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if "Conv2D" in layer["class_name"]:
                layer["config"]["groups"] = 1
            if layer["class_name"] == "SeparableConv2D":
                layer["config"] |= {"kernel_regularizer": None, "kernel_constraint": None, "kernel_initializer": {}}
        file.attrs["model_config"] = json.dumps(config)
    content = (tmp_path / "model.h5").read_bytes()
    images = np.random.default_rng(0).random((5, 12, 12, 2)).astype(np.float32)
    loaded = loading.load(tmp_path / "model.h5")
    np.testing.assert_array_equal(keras_models.predict(loaded, images), keras_models.predict(model, images))
    assert (tmp_path / "model.h5").read_bytes() == content


def test_weights_without_a_model_are_rejected(tmp_path: Path) -> None:
    depthwise_model().save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ModelError, match="contains weights without a model; save the whole model"):
        loading.load(tmp_path / "model.weights.h5")
