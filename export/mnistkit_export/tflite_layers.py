"""Reads the layer tensors of TFLite models."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import ExportError
from mnistkit.core.native_output import suppress_output
from mnistkit.formats.tflite_file import OPERATORS_WITH_WEIGHTS, QUANTIZATION_OPERATORS, Operator, TfliteFile
from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair


def compare(float32: bytes, quantized: bytes, images: NDArray[np.uint8]) -> Iterator[LayerValues]:
    """Run both files on the images and pair their operators. Raises ExportError if the operators differ."""
    reference, model = _Model(float32, images), _Model(quantized, images)
    if [operator.kind for operator in reference.operators] != [operator.kind for operator in model.operators]:
        raise ExportError("the quantized and the float32 model have different operators", "export both again")
    pairs = list(zip(reference.operators, model.operators, strict=True))
    names = {before.outputs[0]: model.name(after) for before, after in pairs}
    for before, after in pairs:
        output = before.outputs[0]
        has_weights = before.kind in OPERATORS_WITH_WEIGHTS
        yield LayerValues(
            layer=names[output],
            operator=before.kind,
            consumers=tuple(names[reader.outputs[0]] for reader in reference.operators if output in reader.inputs),
            activations=TensorPair(reference.activations(before), model.activations(after)),
            channel_axis=-1,
            activation_params=model.activation_params(after),
            weights=TensorPair(reference.weights(before), model.weights(after)) if has_weights else None,
            weight_params=model.weight_params(after) if has_weights else None,
        )


class _Model:
    """The operators of a file, and their outputs on the images."""

    def __init__(self, content: bytes, images: NDArray[np.uint8]) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        operators = TfliteFile.from_bytes(content).operators()
        self.operators = [operator for operator in operators if operator.kind not in QUANTIZATION_OPERATORS]
        self._quantize_outputs = {
            operator.inputs[0]: operator.outputs[0] for operator in operators if operator.kind == "QUANTIZE"
        }
        with suppress_output():
            self._interpreter = Interpreter(
                model_content=content,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        self._details: dict[int, Any] = {entry["index"]: entry for entry in self._interpreter.get_tensor_details()}
        self._activations = self._run(images)

    def _run(self, images: NDArray[np.uint8]) -> dict[int, NDArray[Any]]:
        values: dict[int, list[NDArray[Any]]] = {operator.outputs[0]: [] for operator in self.operators}
        (entry,) = self._interpreter.get_input_details()
        for image in images:
            self._interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
            self._interpreter.invoke()
            for output, arrays in values.items():
                arrays.append(self._interpreter.get_tensor(output))
        return {output: np.stack(arrays) for output, arrays in values.items()}

    def name(self, operator: Operator) -> str:
        """The name of the operator's layer."""
        name: str = self._details[operator.outputs[0]]["name"]
        return name if name != "probabilities" else operator.kind.lower()

    def activations(self, operator: Operator) -> NDArray[np.float32]:
        """The real values of the operator's output."""
        return self._real_values(operator.outputs[0], self._activations[operator.outputs[0]])

    def weights(self, operator: Operator) -> NDArray[np.float32]:
        """The real values of the operator's weights."""
        return self._real_values(operator.inputs[1], self._interpreter.get_tensor(operator.inputs[1]))

    def activation_params(self, operator: Operator) -> QuantParams | None:
        """How the operator's output is quantized, by itself or by a QUANTIZE operator after it; None if it is float."""
        output = operator.outputs[0]
        return self._params(output) or self._params(self._quantize_outputs.get(output, output))

    def weight_params(self, operator: Operator) -> QuantParams | None:
        """How the operator's weights are quantized; None if they are float."""
        return self._params(operator.inputs[1])

    def _params(self, tensor: int) -> QuantParams | None:
        entry = self._details[tensor]
        parameters = entry["quantization_parameters"]
        if not parameters["scales"].size:
            return None
        zero_points = parameters["zero_points"].astype(np.int64)
        axis, rank = parameters["quantized_dimension"], len(entry["shape"])
        return QuantParams.along(entry["dtype"], parameters["scales"], zero_points, axis, rank)

    def _real_values(self, tensor: int, stored: NDArray[Any]) -> NDArray[np.float32]:
        params = self._params(tensor)
        return params.dequantize(stored) if params else stored
