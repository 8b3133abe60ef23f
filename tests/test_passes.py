"""Graph passes: they remove work and keep the outputs of a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, loading
from mnistkit_export.passes import copy_unchanged, optimize, remove_training_layers
from mnistkit_export.passes.crop import crop
from mnistkit_export.passes.fold import fold
from mnistkit_export.passes.sequential import LayerSpec, rebuild, to_layer_specs
from mnistkit_export.tensor_names import find_layer, to_converter_name, to_layer_name


def layer(kind: str, *arguments: Any, **options: Any) -> Any:
    return getattr(keras_models.import_keras().layers, kind)(*arguments, **options)


def build(*layers: Any, shape: tuple[int, ...] = (28, 28, 1)) -> keras_models.KerasModel:
    """A sequential model whose batch normalizations have random weights and statistics."""
    keras = keras_models.import_keras()
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input(shape), *layers])
    rng = np.random.default_rng(5)
    for part in model.layers:
        if type(part).__name__ == "BatchNormalization":
            *gamma_and_beta, mean, variance = part.get_weights()
            parameters = [rng.normal(1, 0.3, weight.shape) for weight in gamma_and_beta]
            part.set_weights([*parameters, rng.normal(0, 1, mean.shape), rng.uniform(0.5, 2, variance.shape)])
    return model


def random_images(model: keras_models.KerasModel, count: int = 20) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, *model.inputs[0].shape[1:]), np.uint8)


def check_same_outputs(original: keras_models.KerasModel, changed: keras_models.KerasModel) -> None:
    images = random_images(original)
    np.testing.assert_allclose(
        keras_models.predict(changed, images), keras_models.predict(original, images), atol=2e-5, rtol=2e-4
    )


def layer_specs(model: keras_models.KerasModel) -> list[LayerSpec]:
    layers = to_layer_specs(model)
    assert layers is not None
    return layers


def rebuild_like(model: keras_models.KerasModel, layers: list[LayerSpec]) -> keras_models.KerasModel:
    return rebuild(layers, tuple(model.inputs[0].shape[1:]), "rebuilt")


def kinds(layers: list[LayerSpec]) -> list[str]:
    return [layer.kind for layer in layers]


def classifier_head() -> tuple[Any, ...]:
    return layer("Flatten"), layer("Dense", 10, activation="softmax")


# --- folding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "remaining"),
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
def test_scaling_is_folded_into_neighboring_layers(layers: list[tuple[Any, ...]], remaining: list[str]) -> None:
    model = build(*(layer(*arguments) for arguments in layers), *classifier_head())
    folded = fold(layer_specs(model))
    assert kinds(folded) == [*remaining, "Flatten", "Dense"]
    check_same_outputs(model, rebuild_like(model, folded))


def test_batch_normalization_without_scale_or_shift_is_folded() -> None:
    for options in ({"center": False}, {"scale": False}, {"center": False, "scale": False}):
        model = build(layer("Conv2D", 4, 3, use_bias=False), layer("BatchNormalization", **options), *classifier_head())
        folded = fold(layer_specs(model))
        assert kinds(folded) == ["Conv2D", "Flatten", "Dense"]
        check_same_outputs(model, rebuild_like(model, folded))


# --- cropping ---------------------------------------------------------------------------------------------------


def test_cnn_input_is_cropped_to_26_by_26() -> None:
    first, second, third = (layer("Conv2D", 4, 3) for _ in range(3))
    model = build(first, layer("MaxPooling2D", 2), second, layer("MaxPooling2D", 2), third, *classifier_head())
    cropped = crop(layer_specs(model))
    assert kinds(cropped)[0] == "Cropping2D"
    assert cropped[0].config["cropping"] == ((0, 2), (0, 2))


def test_border_is_not_cropped_if_no_convolution_gets_smaller() -> None:
    model = build(layer("MaxPooling2D", 3), layer("Conv2D", 4, 3), *classifier_head())  # 28 = 9·3 + 1
    assert kinds(crop(layer_specs(model))) == ["MaxPooling2D", "Conv2D", "Flatten", "Dense"]


def test_input_of_a_padded_convolution_is_not_cropped() -> None:
    layers = layer("Conv2D", 4, 3, padding="same"), layer("Conv2D", 4, 3), layer("MaxPooling2D", 3)
    cropped = crop(layer_specs(build(*layers, *classifier_head())))  # 28 → 28 → 26 → 8
    assert kinds(cropped)[:3] == ["Conv2D", "Cropping2D", "Conv2D"]
    assert cropped[1].config["cropping"] == ((0, 2), (0, 2))


@st.composite
def convolutions_and_poolings(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """One to four convolutions and poolings with any window, stride, dilation and padding."""
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
            window = draw(st.integers(1, 3 if kind == "MaxPooling2D" else 2))  # an average of 9 values is not exact
            layers.append((kind, {"pool_size": window, "strides": strides, "padding": padding}))
    return layers


@settings(max_examples=40, deadline=None)
@given(convolutions_and_poolings(), st.tuples(st.integers(24, 33), st.integers(24, 33), st.integers(1, 2)))
def test_cropping_never_changes_the_output(
    layers: list[tuple[str, dict[str, Any]]], shape: tuple[int, int, int]
) -> None:
    try:
        model = build(*(layer(kind, **options) for kind, options in layers), layer("Flatten"), shape=shape)
    except ValueError:  # a window is larger than its input
        return
    # Small integers, whose sums are exact in any order: the order may depend on the image size.
    rng = np.random.default_rng(3)
    model.set_weights([rng.integers(-1, 2, weight.shape) for weight in model.get_weights()])
    images = random_images(model) % 8
    cropped = rebuild_like(model, crop(layer_specs(model)))
    assert keras_models.count_macs(cropped) <= keras_models.count_macs(model)
    np.testing.assert_array_equal(keras_models.predict(cropped, images), keras_models.predict(model, images))


# --- all passes -------------------------------------------------------------------------------------------------


def test_optimized_cnn_has_equal_outputs_and_fewer_macs(workspace: Path, digits: Dataset) -> None:
    model = loading.load(workspace / "model.keras")
    prepared = optimize(model)
    images = digits.x_test[:500]
    np.testing.assert_allclose(
        keras_models.predict(prepared.model, images), keras_models.predict(model, images), atol=1e-6
    )
    assert (keras_models.count_macs(model), keras_models.count_macs(prepared.model)) == (2_794_240, 2_378_368)
    assert len(prepared.passes) == 3


def test_training_only_layers_are_removed() -> None:
    training_layers = layer("RandomRotation", 0.1), layer("GaussianNoise", 1.0), layer("Dropout", 0.5)
    model = build(*training_layers, layer("Conv2D", 3, 3), layer("SpatialDropout2D", 0.5), *classifier_head())
    remaining = remove_training_layers(layer_specs(model))
    assert kinds(remaining) == ["Conv2D", "Flatten", "Dense"]
    check_same_outputs(model, rebuild_like(model, remaining))


def test_nested_models_are_split_into_layers() -> None:
    keras = keras_models.import_keras()
    inner = build(layer("Conv2D", 3, 3), layer("BatchNormalization"), layer("ReLU"))
    image = keras.Input((28, 28, 1))
    model = keras.Model(image, layer("Dense", 10, activation="softmax")(layer("Flatten")(inner(image))))
    assert kinds(layer_specs(model)) == ["Conv2D", "BatchNormalization", "ReLU", "Flatten", "Dense"]
    check_same_outputs(model, optimize(model).model)


def test_only_shapes_are_frozen_if_the_model_branches() -> None:
    keras = keras_models.import_keras()
    image = keras.Input((12, 12, 1))
    first = layer("Conv2D", 2, 3, padding="same")(layer("Rescaling", 1 / 255)(image))
    added = layer("Add")([first, layer("Conv2D", 2, 1)(image)])
    model = keras.Model(image, layer("Dense", 10, activation="softmax")(layer("Flatten")(layer("Dropout", 0.5)(added))))
    assert to_layer_specs(model) is None
    prepared = optimize(model)
    assert prepared.passes == ("shapes frozen",)
    check_same_outputs(model, prepared.model)


def test_unoptimized_copy_has_equal_macs_and_outputs(workspace: Path) -> None:
    model = loading.load(workspace / "model.keras")
    prepared = copy_unchanged(model)
    assert prepared.passes == ()
    assert keras_models.count_macs(prepared.model) == keras_models.count_macs(model)
    check_same_outputs(model, prepared.model)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("cnn_1/conv2d_1/convolution", "conv2d"),
        ("cnn_1/conv2d-1_1/Relu;cnn_1/conv2d-1_1/BiasAdd", "conv2d-1"),
        ("cnn_1/re_lu-1_1/Relu;cnn_1/conv2d-1_1/BiasAdd", "conv2d-1"),
        ("resnet_1/conv2d_1/batchnorm/re_lu-1", "conv2d"),  # the layer's name precedes those of its operations
        ("StatefulPartitionedCall_1:0", None),
    ],
)
def test_layer_is_found_in_the_path_of_a_tensor(path: str, expected: str | None) -> None:
    assert find_layer(path, ("conv2d", "conv2d-1", "re_lu-1")) == expected


@pytest.mark.parametrize("name", ["conv2d", "conv2d_12", "my_dense", "a_1_2"])
def test_layer_name_survives_the_converter_name(name: str) -> None:
    assert to_layer_name(to_converter_name(name)) == name
