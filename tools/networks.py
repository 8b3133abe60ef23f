"""Small networks for MNIST, each with an operator that users' models have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mnistkit.training.keras_models import KerasModel, import_keras

Build = Callable[[Any, Any], Any]  # keras.layers and a tensor [N, 28, 28, 1] with values 0 to 1, to the last features


@dataclass(frozen=True)
class Network:
    """A network and the layers that it stands for."""

    name: str
    layers: str
    build: Build


def _convolution(x: Any, layers: Any, filters: int = 16, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, **{"activation": "relu", "padding": "same"} | options)(x)


def _depthwise(layers: Any, x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, depth_multiplier=8, activation="relu")(x)
    return layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu")(x)


def _separable(layers: Any, x: Any) -> Any:
    x = layers.SeparableConv2D(16, 3, activation="relu")(x)
    return layers.SeparableConv2D(16, 3, strides=2, padding="same", activation="relu")(x)


def _transposed(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, strides=2)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    return layers.MaxPooling2D()(layers.Conv2DTranspose(4, 2)(x))


def _grouped(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, strides=2)
    return _convolution(_convolution(x, layers, 16, groups=4), layers, 16, groups=2, padding="valid")


def _dilated(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, 8, dilation_rate=2)
    return layers.MaxPooling2D()(_convolution(x, layers, 8, dilation_rate=3, padding="valid"))


def _strided(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(8, 5, strides=2, padding="same", activation="relu")(x)
    return layers.Conv2D(16, (3, 2), strides=(2, 1), activation="relu")(x)


def _average_pooling(layers: Any, x: Any) -> Any:
    x = layers.AveragePooling2D(3, strides=2, padding="same")(_convolution(x, layers, 8))
    return layers.AveragePooling2D(2)(_convolution(x, layers))


def _max_pooling(layers: Any, x: Any) -> Any:
    x = layers.MaxPooling2D(3, strides=2, padding="same")(_convolution(x, layers, 8))
    return layers.MaxPooling2D((2, 3))(_convolution(x, layers))


def _global_average(layers: Any, x: Any) -> Any:
    for filters in (16, 24):
        x = layers.BatchNormalization()(_convolution(x, layers, filters, strides=2))
    return layers.GlobalAveragePooling2D()(_convolution(x, layers, 32))


def _global_max(layers: Any, x: Any) -> Any:
    x = _convolution(_convolution(x, layers, 16, strides=2), layers, 24, strides=2)
    return layers.GlobalMaxPooling2D()(_convolution(x, layers, 32))


def _activations(*names: str) -> Build:
    """One convolution for each activation, the first with a stride."""

    def build(layers: Any, x: Any) -> Any:
        for name in names:
            x = layers.Activation(name)(layers.Conv2D(8, 3, padding="same")(x))
        return layers.MaxPooling2D()(x)

    return build


def _relu_family(layers: Any, x: Any) -> Any:
    x = layers.ReLU(max_value=6)(_convolution(x, layers, 8, activation=None))
    x = layers.LeakyReLU(negative_slope=0.1)(_convolution(x, layers, 8, activation=None))
    return layers.MaxPooling2D()(layers.PReLU(shared_axes=[1, 2])(_convolution(x, layers, 8, activation=None)))


def _layer_normalization(layers: Any, x: Any) -> Any:
    x = layers.LayerNormalization()(_convolution(x, layers, 16, strides=2))
    return layers.LayerNormalization(axis=[1, 2, 3])(_convolution(x, layers))


def _group_normalization(layers: Any, x: Any) -> Any:
    x = layers.GroupNormalization(4)(_convolution(x, layers, 16, strides=2))
    return layers.MaxPooling2D()(layers.GroupNormalization(-1)(_convolution(x, layers)))


def _batch_normalization(layers: Any, x: Any) -> Any:
    x = layers.BatchNormalization()(layers.BatchNormalization(center=False)(x))
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(_convolution(x, layers, activation=None, use_bias=False)))
    return layers.MaxPooling2D()(layers.BatchNormalization()(_convolution(x, layers, 8)))


def _unit_normalization(layers: Any, x: Any) -> Any:
    x = layers.Flatten()(layers.MaxPooling2D()(_convolution(x, layers, 8)))
    return layers.UnitNormalization()(layers.Dense(64, activation="relu")(x))


def _squeeze_and_excite(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, 16, strides=2)
    weights = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D()(x))
    weights = layers.Reshape((1, 1, 16))(layers.Dense(16, activation="sigmoid")(weights))
    return layers.MaxPooling2D()(layers.Multiply()([x, weights]))


def _residual(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, 16, strides=2)
    y = layers.BatchNormalization()(_convolution(_convolution(x, layers), layers, activation=None))
    x = layers.ReLU()(layers.Add()([x, y]))
    shortcut = layers.Conv2D(24, 1, strides=2)(x)
    return layers.ReLU()(layers.Add()([shortcut, _convolution(x, layers, 24, strides=2, activation=None)]))


def _concatenation(layers: Any, x: Any) -> Any:
    x = _convolution(x, layers, 8, strides=2)
    for _ in range(3):
        x = layers.Concatenate()([x, _convolution(x, layers, 8)])
    return layers.AveragePooling2D(2)(x)


def _attention(layers: Any, x: Any) -> Any:
    x = layers.Reshape((49, 16))(layers.Conv2D(16, 4, strides=4, activation="relu")(x))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)])
    return layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))


def _inverted_residual(layers: Any, x: Any) -> Any:
    def normalized(convolution: Any, x: Any) -> Any:
        return layers.BatchNormalization()(convolution(x))

    x = layers.ReLU(6)(normalized(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False), x))
    y = layers.ReLU(6)(normalized(layers.Conv2D(48, 1, use_bias=False), x))
    y = layers.ReLU(6)(normalized(layers.DepthwiseConv2D(3, padding="same", use_bias=False), y))
    y = normalized(layers.Conv2D(16, 1, use_bias=False), y)
    return layers.MaxPooling2D()(layers.Add()([x, y]))


def _upsampling(layers: Any, x: Any) -> Any:
    small = _convolution(layers.MaxPooling2D(4)(x), layers, 8)
    nearest, bilinear = layers.UpSampling2D(2)(small), layers.UpSampling2D(2, interpolation="bilinear")(small)
    return layers.Concatenate()([nearest, bilinear, layers.MaxPooling2D(2)(x)])


def _padding(layers: Any, x: Any) -> Any:
    x = layers.ZeroPadding2D(((1, 2), (3, 0)))(x)
    x = layers.Cropping2D(((2, 1), (0, 3)))(_convolution(x, layers, 8))
    return layers.MaxPooling2D()(x)


def _merging(layers: Any, x: Any) -> Any:
    a, b = _convolution(x, layers, 8, strides=2), _convolution(x, layers, 8, strides=2)
    merged = layers.Maximum()([a, b]), layers.Minimum()([a, b]), layers.Subtract()([a, b]), layers.Average()([a, b])
    return layers.MaxPooling2D()(layers.Concatenate()([*merged, layers.Multiply()([a, b])]))


def _recurrent(layers: Any, x: Any) -> Any:
    rows = layers.Reshape((28, 28))(x)
    return layers.Concatenate()([layers.LSTM(24)(rows), layers.GRU(24)(rows)])


def _one_dimensional(layers: Any, x: Any) -> Any:
    x = layers.Conv1D(32, 3, activation="relu")(layers.Permute((2, 1))(layers.Reshape((28, 28))(x)))
    return layers.GlobalMaxPooling1D()(layers.Conv1D(48, 3, activation="relu")(layers.MaxPooling1D(2)(x)))


def _training_layers(layers: Any, x: Any) -> Any:
    x = layers.RandomTranslation(0.05, 0.05, seed=1)(x)
    x = layers.SpatialDropout2D(0.1, seed=1)(_convolution(layers.GaussianNoise(0.1, seed=1)(x), layers, 8, strides=2))
    return layers.Dropout(0.2, seed=1)(_convolution(x, layers, strides=2))


_sigmoidal = _activations("tanh", "sigmoid", "hard_sigmoid", "hard_silu")

NETWORKS = (
    Network("depthwise", "DepthwiseConv2D", _depthwise),
    Network("separable", "SeparableConv2D", _separable),
    Network("transposed", "Conv2DTranspose", _transposed),
    Network("grouped", "Conv2D with groups", _grouped),
    Network("dilated", "Conv2D with dilation", _dilated),
    Network("strided", "Conv2D with strides, same and valid padding", _strided),
    Network("average-pooling", "AveragePooling2D", _average_pooling),
    Network("max-pooling", "MaxPooling2D, overlapping and rectangular", _max_pooling),
    Network("global-average", "GlobalAveragePooling2D", _global_average),
    Network("global-max", "GlobalMaxPooling2D", _global_max),
    Network("relu-family", "ReLU, LeakyReLU, PReLU", _relu_family),
    Network("exponential", "elu, selu, softplus, softsign", _activations("elu", "selu", "softplus", "softsign")),
    Network("smooth", "gelu, silu, mish", _activations("gelu", "silu", "mish")),
    Network("sigmoidal", "tanh, sigmoid, hard_sigmoid, hard_silu", _sigmoidal),
    Network("layer-normalization", "LayerNormalization", _layer_normalization),
    Network("group-normalization", "GroupNormalization", _group_normalization),
    Network("batch-normalization", "BatchNormalization, before and after convolutions", _batch_normalization),
    Network("unit-normalization", "UnitNormalization", _unit_normalization),
    Network("squeeze-and-excite", "GlobalAveragePooling2D, Multiply", _squeeze_and_excite),
    Network("residual", "Add", _residual),
    Network("concatenation", "Concatenate", _concatenation),
    Network("attention", "MultiHeadAttention", _attention),
    Network("inverted-residual", "the block of MobileNetV2", _inverted_residual),
    Network("upsampling", "UpSampling2D, nearest and bilinear", _upsampling),
    Network("padding", "ZeroPadding2D, Cropping2D", _padding),
    Network("merging", "Maximum, Minimum, Subtract, Average, Multiply", _merging),
    Network("recurrent", "LSTM, GRU", _recurrent),
    Network("one-dimensional", "Conv1D, MaxPooling1D, Permute", _one_dimensional),
    Network("training-only", "Dropout, GaussianNoise, RandomTranslation", _training_layers),
)  # fmt: skip


def find(name: str) -> Network:
    """The network of that name."""
    return next(network for network in NETWORKS if network.name == name)


def build(network: Network) -> KerasModel:
    """The untrained model of a network, for raw pixels, 0 to 255."""
    keras = import_keras()
    image = keras.Input((28, 28, 1), name="image")
    features = network.build(keras.layers, keras.layers.Rescaling(1 / 255)(image))
    if len(features.shape) > 2:
        features = keras.layers.Flatten()(features)
    probabilities = keras.layers.Dense(10, activation="softmax")(features)
    return keras.Model(image, probabilities, name=network.name.replace("-", "_"))
