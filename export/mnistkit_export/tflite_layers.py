"""What a TFLite network computes inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mnistkit.core.errors import ExportError
from mnistkit.core.native_output import suppress_output
from mnistkit.formats import tflite_file
from mnistkit.formats.tflite_file import CONVERSIONS, WEIGHTED, Operator
from mnistkit_export.layer_tensors import LayerValues, QuantParams, TensorPair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def compare(plain: bytes, quantized: bytes, images: NDArray[np.uint8]) -> Iterator[LayerValues]:
    """Each operator of both files, in pairs: they differ in how values are stored alone."""
    one, other = _Inside(plain, images), _Inside(quantized, images)
    if [operator.kind for operator in one.operators] != [operator.kind for operator in other.operators]:
        raise ExportError("the quantized graph is not that of float32", "export both again")
    pairs = list(zip(one.operators, other.operators, strict=True))
    names = {before.outputs[0]: other.name(after) for before, after in pairs}
    for before, after in pairs:
        takers = [taker.outputs[0] for taker in one.operators if before.outputs[0] in taker.inputs]
        yield LayerValues(
            layer=names[before.outputs[0]],
            operator=before.kind,
            feeds=tuple(names[taker] for taker in takers),
            activations=TensorPair(one.activations(before), other.activations(after)),
            channel_axis=-1,
            storage=other.storage(after),
            weights=TensorPair(one.weights(before), other.weights(after)) if before.kind in WEIGHTED else None,
            weight_storage=other.weight_storage(after) if before.kind in WEIGHTED else None,
        )


class _Inside:
    """A file's operators, and all that they make of each image."""

    def __init__(self, content: bytes, images: NDArray[np.uint8]) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        operators = list(tflite_file.operators(tflite_file.unpack(content)))
        self.operators: list[Operator] = [operator for operator in operators if operator.kind not in CONVERSIONS]
        self._stored_again = {one.inputs[0]: one.outputs[0] for one in operators if one.kind == "QUANTIZE"}
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
        import numpy as np

        outputs = [operator.outputs[0] for operator in self.operators]
        taken: dict[int, list[NDArray[Any]]] = {output: [] for output in outputs}
        (entry,) = self._interpreter.get_input_details()
        for image in images:
            self._interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
            self._interpreter.invoke()
            for output in outputs:
                taken[output].append(self._interpreter.get_tensor(output))
        return {output: np.stack(values) for output, values in taken.items()}

    def name(self, operator: Operator) -> str:
        """The layer that the operator belongs to."""
        name: str = self._details[operator.outputs[0]]["name"]
        return name if name != "probabilities" else operator.kind.lower()

    def activations(self, operator: Operator) -> NDArray[np.float32]:
        """What it makes of each image."""
        return self._real(operator.outputs[0], self._activations[operator.outputs[0]])

    def weights(self, operator: Operator) -> NDArray[np.float32]:
        """Its weights."""
        return self._real(operator.inputs[1], self._interpreter.get_tensor(operator.inputs[1]))

    def storage(self, operator: Operator) -> QuantParams | None:
        """How its output is stored, by itself, or for those that take it."""
        made = operator.outputs[0]
        return self._storage(made) or self._storage(self._stored_again.get(made, made))

    def weight_storage(self, operator: Operator) -> QuantParams | None:
        """How its weights are stored."""
        return self._storage(operator.inputs[1])

    def _storage(self, tensor: int) -> QuantParams | None:
        entry = self._details[tensor]
        said = entry["quantization_parameters"]
        if not said["scales"].size:
            return None
        axis, rank = said["quantized_dimension"], len(entry["shape"])
        return QuantParams.along(entry["dtype"], said["scales"], said["zero_points"].astype("int64"), axis, rank)

    def _real(self, tensor: int, stored: NDArray[Any]) -> NDArray[np.float32]:
        storage = self._storage(tensor)
        return storage.dequantize(stored) if storage else stored
