"""Graph work before conversion: leaner, and the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models
from mnistkit_export.passes import copy_unchanged, optimize, remove_training_layers, with_softmax
from mnistkit_export.passes.crop import crop
from mnistkit_export.passes.fold import fold
from mnistkit_export.passes.sequential import LayerSpec, rebuild, to_layer_specs
from mnistkit_export.tensor_names import find_layer, to_converter_name, to_layer_name


def layer(kind: str, *arguments: Any, **options: Any) -> Any:
    return getattr(keras_models.import_keras().layers, kind)(*arguments, **options)


def network(*layers: Any, shape: tuple[int, ...] = (28, 28, 1)) -> keras_models.KerasModel:
    """A sequential network whose batch normalisations have learnt something."""
    keras = keras_models.import_keras()
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input(shape), *layers])
    rng = np.random.default_rng(5)
    for normalisation in model.layers:
        if type(normalisation).__name__ == "BatchNormalization":
            *others, mean, variance = normalisation.get_weights()
            others = [rng.normal(1, 0.3, part.shape) for part in others]
            normalisation.set_weights([*others, rng.normal(0, 1, mean.shape), rng.uniform(0.5, 2, variance.shape)])
    return model


def images(model: keras_models.KerasModel, count: int = 20) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, *model.inputs[0].shape[1:]), np.uint8)


def check_same(one: keras_models.KerasModel, other: keras_models.KerasModel) -> None:
    given = images(one)
    np.testing.assert_allclose(
        keras_models.predict(other, given), keras_models.predict(one, given), atol=2e-5, rtol=2e-4
    )


def stages_of(model: keras_models.KerasModel) -> list[LayerSpec]:
    stages = to_layer_specs(model)
    assert stages is not None
    return stages


def rebuilt(model: keras_models.KerasModel, stages: list[LayerSpec]) -> keras_models.KerasModel:
    return rebuild(stages, tuple(model.inputs[0].shape[1:]), "rebuilt")


def kinds(stages: list[LayerSpec]) -> list[str]:
    return [stage.name for stage in stages]


def end() -> tuple[Any, ...]:
    return layer("Flatten"), layer("Dense", 10, activation="softmax")


# --- scales and normalisations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "left"),
    {
        "rescaling before a convolution": ([("Rescaling", 1 / 255), ("Conv2D", 3, 3)], ["Conv2D"]),
        "an offset before a convolution": ([("Rescaling", 1 / 127.5, -1), ("Conv2D", 3, 3)], ["Conv2D"]),
        "a scale before padding": ([("Rescaling", 1 / 255), ("Conv2D", 3, 3, 1, "same")], ["Conv2D"]),
        "an offset before padding": ([("Rescaling", 1 / 99, -1), ("Conv2D", 3, 3, 1, "same")], ["Rescaling", "Conv2D"]),
        "batch norm after a convolution": ([("Conv2D", 3, 3), ("BatchNormalization",)], ["Conv2D"]),
        "batch norm after padding": ([("Conv2D", 3, 3, 2, "same"), ("BatchNormalization",)], ["Conv2D"]),
        "batch norm after depthwise": (
            [("DepthwiseConv2D", 3, 1, "valid", 2), ("BatchNormalization",)],
            ["DepthwiseConv2D"],
        ),
        "rescaling before depthwise": ([("Rescaling", 1 / 255, 1), ("DepthwiseConv2D", 3)], ["DepthwiseConv2D"]),
        "batch norm first": ([("BatchNormalization",), ("Conv2D", 3, 3)], ["Conv2D"]),
        "two in a row": ([("Conv2D", 3, 3), ("BatchNormalization",), ("Rescaling", 2.0, 0.5)], ["Conv2D"]),
        "after an activation": (
            [("Conv2D", 3, 3), ("ReLU",), ("BatchNormalization",), ("MaxPooling2D",)],
            ["Conv2D", "ReLU", "BatchNormalization", "MaxPooling2D"],
        ),
        "through flatten": ([("Rescaling", 1 / 255, -0.5)], []),
    }.values(),
    ids=str,
)
def test_scales_fold_into_their_neighbours(head: list[tuple[Any, ...]], left: list[str]) -> None:
    model = network(*(layer(*each) for each in head), *end())
    stages = fold(stages_of(model))
    assert kinds(stages) == [*left, "Flatten", "Dense"]
    check_same(model, rebuilt(model, stages))


def test_batch_norm_without_its_scale_or_shift_folds_too() -> None:
    for options in ({"center": False}, {"scale": False}, {"center": False, "scale": False}):
        model = network(layer("Conv2D", 4, 3, use_bias=False), layer("BatchNormalization", **options), *end())
        stages = fold(stages_of(model))
        assert kinds(stages) == ["Conv2D", "Flatten", "Dense"]
        check_same(model, rebuilt(model, stages))


# --- dead borders -----------------------------------------------------------------------------------------------


def test_the_cnn_is_cropped_to_26_by_26() -> None:
    first, second, third = (layer("Conv2D", 4, 3) for _ in range(3))
    model = network(first, layer("MaxPooling2D", 2), second, layer("MaxPooling2D", 2), third, *end())
    stages = crop(stages_of(model))
    assert kinds(stages)[0] == "Cropping2D"
    assert stages[0].config["cropping"] == ((0, 2), (0, 2))


def test_a_border_that_costs_nothing_is_left() -> None:
    model = network(layer("MaxPooling2D", 3), layer("Conv2D", 4, 3), *end())  # 28 = 9·3 + 1
    assert kinds(crop(stages_of(model))) == ["MaxPooling2D", "Conv2D", "Flatten", "Dense"]


def test_what_is_padded_is_never_cropped_before() -> None:
    layers = layer("Conv2D", 4, 3, padding="same"), layer("Conv2D", 4, 3), layer("MaxPooling2D", 3)
    stages = crop(stages_of(network(*layers, *end())))  # 28 → 28 → 26 → 8
    assert kinds(stages)[:3] == ["Conv2D", "Cropping2D", "Conv2D"]
    assert stages[1].config["cropping"] == ((0, 2), (0, 2))


@st.composite
def convolutional(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """A few convolutions and poolings, of any window, stride, dilation and padding."""
    layers: list[tuple[str, dict[str, Any]]] = []
    for _ in range(draw(st.integers(1, 4))):
        padding = draw(st.sampled_from(["valid", "valid", "same"]))
        strides = draw(st.integers(1, 3))
        if draw(st.booleans()):
            dilation = draw(st.integers(1, 2)) if strides == 1 else 1
            size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
            options = {"filters": 2, "kernel_size": size, "dilation_rate": dilation, "activation": "relu"}
            layers.append(("Conv2D", options | {"strides": strides, "padding": padding}))
        else:
            kind = draw(st.sampled_from(["MaxPooling2D", "AveragePooling2D"]))
            window = draw(st.integers(1, 3 if kind == "MaxPooling2D" else 2))  # a ninth would not be exact
            layers.append((kind, {"pool_size": window, "strides": strides, "padding": padding}))
    return layers


@settings(max_examples=40, deadline=None)
@given(convolutional(), st.tuples(st.integers(24, 33), st.integers(24, 33), st.integers(1, 2)))
def test_cropping_never_changes_an_answer(
    layers: list[tuple[str, dict[str, Any]]], shape: tuple[int, int, int]
) -> None:
    try:
        model = network(*(layer(kind, **options) for kind, options in layers), layer("Flatten"), shape=shape)
    except ValueError:  # a window larger than what is left of the image
        return
    # Small whole numbers, whose sums are exact in whatever order a kernel takes them at one size or another.
    rng = np.random.default_rng(3)
    model.set_weights([rng.integers(-1, 2, weight.shape) for weight in model.get_weights()])
    given = images(model) % 8
    cropped = rebuilt(model, crop(stages_of(model)))
    assert keras_models.count_macs(cropped) <= keras_models.count_macs(model)
    np.testing.assert_array_equal(keras_models.predict(cropped, given), keras_models.predict(model, given))


# --- the whole --------------------------------------------------------------------------------------------------


def test_the_trained_cnn_keeps_its_answers_and_loses_work(workspace: Path, digits: Dataset) -> None:
    model = keras_models.load(workspace / "model.keras")
    prepared = optimize(model)
    given = digits.x_test[:500]
    np.testing.assert_allclose(
        keras_models.predict(prepared.model, given), keras_models.predict(model, given), atol=1e-6
    )
    assert (keras_models.count_macs(model), keras_models.count_macs(prepared.model)) == (2_794_240, 2_378_368)
    assert len(prepared.passes) == 3


def test_what_training_alone_needs_is_gone() -> None:
    leftovers = layer("RandomRotation", 0.1), layer("GaussianNoise", 1.0), layer("Dropout", 0.5)
    model = network(*leftovers, layer("Conv2D", 3, 3), layer("SpatialDropout2D", 0.5), *end())
    stages = remove_training_layers(stages_of(model))
    assert kinds(stages) == ["Conv2D", "Flatten", "Dense"]
    check_same(model, rebuilt(model, stages))


def test_models_within_models_are_taken_apart() -> None:
    keras = keras_models.import_keras()
    inner = network(layer("Conv2D", 3, 3), layer("BatchNormalization"), layer("ReLU"))
    image = keras.Input((28, 28, 1))
    model = keras.Model(image, layer("Dense", 10, activation="softmax")(layer("Flatten")(inner(image))))
    assert kinds(stages_of(model)) == ["Conv2D", "BatchNormalization", "ReLU", "Flatten", "Dense"]
    check_same(model, optimize(model).model)


def test_a_network_with_branches_is_left_as_it_is_but_for_its_shapes() -> None:
    keras = keras_models.import_keras()
    image = keras.Input((12, 12, 1))
    one = layer("Conv2D", 2, 3, padding="same")(layer("Rescaling", 1 / 255)(image))
    both = layer("Add")([one, layer("Conv2D", 2, 1)(image)])
    model = keras.Model(image, layer("Dense", 10, activation="softmax")(layer("Flatten")(layer("Dropout", 0.5)(both))))
    assert to_layer_specs(model) is None
    prepared = optimize(model)
    assert prepared.passes == ("shapes made constant",)
    check_same(model, prepared.model)


def test_nothing_is_done_where_that_is_asked_for(workspace: Path) -> None:
    model = keras_models.load(workspace / "model.keras")
    prepared = copy_unchanged(model)
    assert prepared.passes == ()
    assert keras_models.count_macs(prepared.model) == keras_models.count_macs(model)
    check_same(model, prepared.model)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_logits_become_probabilities(kind: str) -> None:
    keras = keras_models.import_keras()
    model = network(layer("Flatten"), layer("Rescaling", 1 / 255), layer("Dense", 7))
    if kind == "functional":
        model = keras.Model(model.inputs, model.outputs)
    logits = keras_models.predict(model, images(model))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras_models.predict(with_softmax(model), images(model)), expected, atol=1e-6)
    assert to_layer_specs(with_softmax(model)) is not None


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("cnn_1/conv2d_1/convolution", "conv2d"),
        ("cnn_1/conv2d-1_1/Relu;cnn_1/conv2d-1_1/BiasAdd", "conv2d-1"),
        ("cnn_1/re_lu-1_1/Relu;cnn_1/conv2d-1_1/BiasAdd", "conv2d-1"),
        ("resnet_1/conv2d_1/batchnorm/re_lu-1", "conv2d"),  # the layer's name comes before its operations'
        ("StatefulPartitionedCall_1:0", None),
    ],
)
def test_a_tensors_layer_is_read_off_its_path(path: str, expected: str | None) -> None:
    assert find_layer(path, ("conv2d", "conv2d-1", "re_lu-1")) == expected


@pytest.mark.parametrize("name", ["conv2d", "conv2d_12", "my_dense", "a_1_2"])
def test_names_come_back(name: str) -> None:
    assert to_layer_name(to_converter_name(name)) == name
