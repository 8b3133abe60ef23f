"""Random networks of the operators that can be generated as C, in int8 as the exporter converts them.

A network is described by a list of steps. Steps that do not fit, such as a kernel larger than the image, are left out,
so that a description without one of its steps is valid too: a difference is easy to reduce to the steps that cause it.
"""

import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import c_programs
from c_programs import KERNELS, ProgramError, Rounding
from mnistkit.core.errors import ExportError
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit_export.c import generate
from mnistkit_export.passes import optimize
from mnistkit_export.tflite import TfliteConverter

CHANNELS = (1, 2, 3, 4, 5, 8, 10, 16, 17, 22, 32, 33, 40)
ACTIVATIONS = (None, "relu", "relu6", "sigmoid")
LAYER_MACS, LAYER_WEIGHTS = 400_000, 20_000  # at most: emulated programs take their time
CALIBRATION_IMAGES = 8
IMAGES = 50  # that are compared


@dataclass(frozen=True)
class Step:
    """A layer of Keras with its options, or one of the graphs in _GRAPHS."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """A network."""

    shape: tuple[int, int, int]  # height, width, channels
    steps: tuple[Step, ...]
    classes: int
    probabilities: str  # activation function of the last layer
    scaled: bool  # whether it scales the pixels itself
    seed: int  # of weights and images


# A network of all operators that are generated.
ALL_OPERATORS = Description(
    (21, 18, 3),
    (
        Step("Conv2D", {"filters": 10, "kernel_size": (3, 5), "padding": "same", "activation": "relu"}),
        Step("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu6", "padding": "same"}),
        Step("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
        Step(
            "Branches",
            {
                "steps": (
                    Step("Conv2D", {"filters": 17, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
                    Step("DepthwiseConv2D", {"kernel_size": 4, "padding": "same", "activation": "sigmoid"}),
                    Step("MaxPooling2D", {"pool_size": 3, "strides": 1, "padding": "same"}),
                ),
                "with_input": True,
            },
        ),
        Step("ReLU", {"max_value": 6}),
        Step("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}),
        Step("Pooled", {"convolution": Step("Conv2D", {"filters": 22, "kernel_size": 4, "activation": "relu"}),
                        "pooling": Step("MaxPooling2D")}),
        Step("Residual", {"layer": Step("Conv2D", {"kernel_size": 1, "padding": "same"}), "activation": "relu"}),
        Step("Cropping2D", {"cropping": ((0, 1), (1, 0))}),
        Step("AveragePooling2D", {"pool_size": (2, 3), "strides": 1, "padding": "same"}),
        Step("Activation", {"activation": "relu"}),
        Step("GlobalAveragePooling2D", {"keepdims": True}),
        Step("Conv2D", {"filters": 5, "kernel_size": 1}),
        Step("Flatten"),
        Step("Dense", {"units": 33, "activation": "relu"}),
    ),
    11,
    "softmax",
    False,
    1,
)  # fmt: skip


# A network whose code is generated in milliseconds, with branches.
SMALL = Description(
    (9, 8, 1),
    (
        Step("Pooled", {"convolution": Step("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}),
                        "pooling": Step("MaxPooling2D")}),
        Step("Residual", {"layer": Step("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}), "activation": None}),
        Step("Branches", {"steps": (Step("AveragePooling2D", {"pool_size": 2, "strides": 1, "padding": "same"}),),
                          "with_input": True}),
        Step("Activation", {"activation": "sigmoid"}),
        Step("GlobalAveragePooling2D"),
    ),
    3,
    "softmax",
    False,
    1,
)  # fmt: skip


def describe(rng: random.Random) -> Description:
    """A random network."""
    body = [rng.choice(_DRAWS)(rng) for _ in range(rng.randint(1, 5))]
    return Description(
        (rng.randint(8, 32), rng.randint(8, 32), rng.choice((1, 1, 3))),
        (*body, *_draw_head(rng)),
        rng.randint(2, 30),
        rng.choice(("softmax", "softmax", "softmax", "sigmoid")),
        rng.random() < 0.5,
        rng.randrange(1 << 16),
    )


def _pair(rng: random.Random, *values: int) -> tuple[int, int]:
    one = rng.choice(values)
    return (one, one) if rng.random() < 0.6 else (one, rng.choice(values))


def _draw_convolution(rng: random.Random) -> Step:
    options = {
        "filters": rng.choice(CHANNELS),
        "kernel_size": _pair(rng, 1, 2, 3, 3, 3, 4, 5),
        "padding": rng.choice(("same", "valid")),
        "activation": rng.choice((*ACTIVATIONS, "relu", "relu")),
        "use_bias": rng.random() < 0.8,
    }
    if rng.random() < 0.25:
        return Step("Conv2D", options | {"dilation_rate": _pair(rng, 2, 3)})
    return Step("Conv2D", options | {"strides": _pair(rng, 1, 1, 1, 2, 3)})


def _draw_depthwise(rng: random.Random) -> Step:
    options = {
        "kernel_size": _pair(rng, 1, 2, 3, 3, 4, 5),
        "padding": rng.choice(("same", "valid")),
        "activation": rng.choice(ACTIVATIONS),
        "depth_multiplier": rng.choice((1, 1, 1, 2, 3)),
    }
    stepped = "dilation_rate" if rng.random() < 0.25 else "strides"
    return Step("DepthwiseConv2D", options | {stepped: rng.choice((1, 1, 2))})  # TensorFlow supports equal ones only


def _draw_pooling(rng: random.Random) -> Step:
    kind = rng.choice(("MaxPooling2D", "AveragePooling2D"))
    options = {"pool_size": _pair(rng, 2, 2, 2, 3, 4), "padding": rng.choice(("same", "valid"))}
    return Step(kind, options | ({"strides": _pair(rng, 1, 2, 3)} if rng.random() < 0.4 else {}))


def _draw_convolution_and_pooling(rng: random.Random) -> Step:
    return Step("Pooled", {"convolution": _draw_convolution(rng), "pooling": Step("MaxPooling2D")})


def _draw_activation(rng: random.Random) -> Step:
    return (
        Step("ReLU", {"max_value": 6})
        if rng.random() < 0.3
        else Step("Activation", {"activation": rng.choice(("relu", "sigmoid"))})
    )


def _draw_border(rng: random.Random) -> Step:
    sides = tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in range(2))
    return Step("ZeroPadding2D", {"padding": sides}) if rng.random() < 0.6 else Step("Cropping2D", {"cropping": sides})


def _draw_residual(rng: random.Random) -> Step:
    if rng.random() < 0.2:
        return Step("Doubled", {"activation": rng.choice(ACTIVATIONS)})
    convolution = _draw_depthwise(rng) if rng.random() < 0.3 else _draw_convolution(rng)
    changed = {"padding": "same", "strides": 1, "dilation_rate": 1}
    activation = rng.choice((None, "relu", "relu6"))
    return Step("Residual", {"layer": Step(convolution.kind, convolution.options | changed), "activation": activation})


def _draw_branches(rng: random.Random) -> Step:
    convolutions = (_draw_convolution(rng) for _ in range(rng.randint(1, 3)))
    changed = {"padding": "same", "strides": 1, "dilation_rate": 1}
    steps = [Step(step.kind, step.options | changed) for step in convolutions]
    if rng.random() < 0.4:
        steps.append(Step("MaxPooling2D", {"pool_size": 3, "strides": 1, "padding": "same"}))
    return Step("Branches", {"steps": tuple(steps), "with_input": len(steps) == 1 or rng.random() < 0.5})


_DRAWS = (
    _draw_convolution,
    _draw_convolution,
    _draw_convolution_and_pooling,
    _draw_depthwise,
    _draw_pooling,
    _draw_activation,
    _draw_border,
    _draw_residual,
    _draw_branches,
)


def _draw_head(rng: random.Random) -> list[Step]:
    head = [Step("Flatten")]
    if rng.random() < 0.4:
        keepdims = rng.random() < 0.5
        head = [Step("GlobalAveragePooling2D", {"keepdims": keepdims})]
        if keepdims:
            head += [_draw_convolution(rng)] if rng.random() < 0.5 else []
            head += [Step("Flatten")]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        head.append(Step("Dense", {"units": rng.choice(CHANNELS), "activation": rng.choice(ACTIVATIONS)}))
    return head


class Builder:
    """Builds a Keras model step by step and runs it at once, to keep the activations of all layers alive."""

    def __init__(self, description: Description) -> None:
        self._layers, self._rng = import_keras().layers, np.random.default_rng(description.seed)
        self._examples = calibration_images(description)

    def build(self, description: Description) -> KerasModel:
        """The model, with random weights."""
        keras = import_keras()
        image = keras.Input(description.shape, name="image")
        value = image, keras.ops.convert_to_tensor(self._examples)
        kinds = [step.kind for step in description.steps]
        foldable = kinds[0] in ("Conv2D", "Pooled") and not {"Residual", "Branches", "Doubled"} & set(kinds)
        if description.scaled and foldable:  # otherwise it stays a multiplication, which is not generated
            value = self._call(self._layers.Rescaling(1 / 255), value)
        for step in description.steps:
            value = self._apply(step, value)
        last = Step("Dense", {"units": description.classes, "activation": description.probabilities})
        probabilities, _ = self._apply(last, value)
        return keras.Model(image, probabilities)

    def _apply(self, step: Step, value: Any) -> Any:
        match step.kind:
            case "Pooled":
                return self._apply(step.options["pooling"], self._apply(step.options["convolution"], value))
            case "Doubled":
                return self._activate(self._merge("Add", [value, value]), step.options["activation"])
            case "Residual":
                return self._residual(step, value)
            case "Branches":
                parts = [self._apply(part, value) for part in step.options["steps"]]
                parts = [part for part in parts if part is not value]  # steps that do not fit
                return self._merge("Concatenate", [*parts, value] if step.options["with_input"] else parts, value)
            case "Dense" | "Flatten":
                value = self._shrink(value, step.options.get("units", 0))
        layer = getattr(self._layers, step.kind)(**step.options)
        return self._call(layer, value) if _fits(layer, value[0].shape) else value

    def _residual(self, step: Step, value: Any) -> Any:
        inner, channels = step.options["layer"], value[0].shape[-1]
        options = {"filters": channels} if inner.kind == "Conv2D" else {"depth_multiplier": 1}
        changed = self._apply(Step(inner.kind, inner.options | options), value)
        return self._activate(self._merge("Add", [value, changed]), step.options["activation"])

    def _activate(self, value: Any, activation: str | None) -> Any:
        return self._call(self._layers.Activation(activation), value) if activation else value

    def _merge(self, kind: str, values: list[Any], default: Any = None) -> Any:
        if len(values) < 2:
            return values[0] if values else default
        layer = getattr(self._layers, kind)()
        return layer([symbol for symbol, _ in values]), layer([tensor for _, tensor in values])

    def _shrink(self, value: Any, units: int) -> Any:
        """Pool an image until a dense layer over it is small; a dense layer reads no image."""
        while len(value[0].shape) == 4 and np.prod(value[0].shape[1:]) * 30 > LAYER_WEIGHTS:
            pooled = self._call(self._layers.MaxPooling2D(2, padding="same"), value)
            if pooled[0].shape == value[0].shape:
                break
            value = pooled
        return self._call(self._layers.Flatten(), value) if units and len(value[0].shape) == 4 else value

    def _call(self, layer: Any, value: Any) -> Any:
        symbol, tensor = value
        symbol = layer(symbol)
        if layer.weights:
            self._set_weights(layer, tensor)
        return symbol, layer(tensor)

    def _set_weights(self, layer: Any, tensor: Any) -> None:
        """Random weights whose sums have a deviation of about 2, of different size for each channel."""
        rng, activation = self._rng, layer.activation
        weights = [rng.normal(size=weight.shape).astype(np.float32) for weight in layer.weights]
        weights[0] *= np.exp(rng.normal(size=weights[0].shape[-1]) * 0.7).astype(np.float32)
        if len(weights) > 1:
            weights[1] *= 0
        layer.set_weights(weights)
        layer.activation = import_keras().activations.linear
        sums = np.asarray(layer(tensor))
        layer.activation = activation
        weights[0] *= 2 / max(float(sums.std()), 1e-3)
        if len(weights) > 1:
            weights[1] = rng.normal(size=weights[1].shape).astype(np.float32)
        layer.set_weights(weights)
        if not np.asarray(layer(tensor)).any():  # all negative, before a rectification
            layer.set_weights([-weight for weight in weights])


def _fits(layer: Any, shape: tuple[int, ...]) -> bool:
    """Whether a layer can read a shape and is small enough to be emulated."""
    try:
        output = layer.compute_output_shape(shape)
    except ValueError:  # the kernel is larger than the image, or the image is flat
        return False
    if min(output[1:]) < 1 or np.prod(output[1:]) > 20_000:
        return False
    if not hasattr(layer, "kernel_size"):
        return True
    weights = int(np.prod(layer.kernel_size)) * output[-1] * (shape[-1] if hasattr(layer, "filters") else 1)
    return bool(weights <= LAYER_WEIGHTS and weights * output[1] * output[2] <= LAYER_MACS)


def calibration_images(description: Description) -> NDArray[np.float32]:
    """Images, float32, whose pixels span 0 to 255, so that a stored byte is a pixel."""
    images = random_images(description.shape, CALIBRATION_IMAGES, description.seed + 1).astype(np.float32)
    images[0].flat[:2] = 0, 255
    return images


def random_images(shape: tuple[int, int, int], count: int, seed: int) -> NDArray[np.uint8]:
    """Images: noise, and bright strokes on a blank background, as digits are."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape)).astype(np.uint8)
    for image in images[::2]:
        image[:] = 0
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        for _ in range(shape[0] * shape[1] // 8):
            y, x = np.clip(np.add((y, x), rng.integers(-1, 2, 2)), 0, (shape[0] - 1, shape[1] - 1))
            image[y, x] = rng.integers(128, 256)
    if count > 4:
        images[2], images[4] = 0, 255
    return images


def convert(description: Description) -> TfliteFile:
    """The network in int8, as the exporter converts it."""
    model = Builder(description).build(description)
    with tempfile.TemporaryDirectory() as folder:
        return TfliteConverter(optimize(model), calibration_images(description), Path(folder)).convert("int8")


GENERATED = (
    "QUANTIZE", "STRIDED_SLICE", "PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D",
    "AVERAGE_POOL_2D", "MEAN", "RELU", "RELU6", "ADD", "CONCATENATION", "RESHAPE", "SOFTMAX", "LOGISTIC", "MUL",
)  # fmt: skip  # operators that must be generated


@dataclass(frozen=True)
class Comparison:
    """The result of comparing the code of a network with TFLite."""

    operators: tuple[str, ...]
    labels: int  # different ones on the images
    differences: tuple[str, ...]


def compare(file: TfliteFile, images: NDArray[np.uint8], runs: list[tuple[str, Rounding]]) -> Comparison:
    """Compare the code, for instruction sets and roundings, with the kernels of TFLite that it must equal.

    Raises ExportError if the network cannot be generated.
    """
    code, content, differences = generate(file, "a random network"), file.to_bytes(), []
    expected = {rounding: c_programs.predict_tflite(content, KERNELS[rounding], images) for _, rounding in runs}
    with tempfile.TemporaryDirectory() as folder:
        source = c_programs.write(code, Path(folder))
        for name, rounding in runs:
            try:
                found = c_programs.predict_generated(source, name, rounding, images)
            except ProgramError as error:
                differences.append(f"{name}, {rounding}: {error}")
                continue
            if rows := c_programs.differing_rows(expected[rounding], found):
                largest = float(abs(expected[rounding] - found).max())
                differences.append(
                    f"{name}, {rounding}: {len(rows)} of {len(images)} images differ from {KERNELS[rounding]}, "
                    f"by at most {largest:.5f}"
                )
    some = next(iter(expected.values()))
    return Comparison(file.info().operators, len(np.unique(some.argmax(1))), tuple(differences))


def compare_seed(seed: int, runs: list[tuple[str, Rounding]]) -> Comparison | None:
    """Compare the network of a seed; None if it has an operator that need not be generated."""
    description = describe(random.Random(seed))  # noqa: S311
    file = convert(description)
    images = random_images(description.shape, IMAGES, description.seed + 2)
    try:
        return compare(file, images, runs)
    except ExportError as error:
        operators = file.info().operators
        if set(operators) - set(GENERATED):
            return None
        return Comparison(operators, 0, (str(error),))
