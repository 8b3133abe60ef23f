"""Names tensors after layers: keeps layer names recognizable through the converters, and renames what they write.

A converter names a tensor by the path of its operation, `model/layer/operation`, or by several paths joined by ";",
and makes a repeated name unique with a number: a second `conv2d` becomes `conv2d_1`, the same as a layer that the user
named `conv2d_1`. So layers are converted under names in which "-" precedes the user's number: `conv2d-1` comes back as
`conv2d-1` or `conv2d-1_2`, which is unambiguous.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

from mnistkit.formats import onnx_file, tflite_file
from mnistkit.formats.tflite_file import Operator, TfliteFile

INPUT, OUTPUT = "image", "probabilities"
LAYER_NUMBER = re.compile(r"_(?=\d+$)")
CONVERTER_LAYER_NUMBER = re.compile(r"-(?=\d+$)")
CONVERTER_SUFFIX = re.compile(r"_\d+$")


def to_converter_name(layer: str) -> str:
    """The name under which a layer is converted."""
    return LAYER_NUMBER.sub("-", layer)


def to_layer_name(converter_name: str) -> str:
    """The layer's own name, the inverse of `to_converter_name`."""
    return CONVERTER_LAYER_NUMBER.sub("_", converter_name)


def find_layer(path: str, layers: Collection[str]) -> str | None:
    """The layer (by converter name) in the path of a tensor or an operation; None if there is none."""
    for operation in reversed(path.split(";")):
        for part in operation.split("/"):
            for name in (part, CONVERTER_SUFFIX.sub("", part)):
                if name in layers:
                    return name
    return None


def unique_names() -> Callable[[str], str]:
    """A function that makes the names that it receives unique: a, a.2, a.3."""
    counts: Counter[str] = Counter()

    def unique(name: str) -> str:
        counts[name] += 1
        return name if counts[name] == 1 else unique(f"{name}.{counts[name]}")

    return unique


def rename_tflite_tensors(file: TfliteFile, layers: Collection[str]) -> None:
    """Rename the tensors of a converted file after the layers (by converter name), equally in every quantization."""
    unique = unique_names()
    names = _layer_outputs(file, layers, unique)
    names |= {file.input: INPUT, file.output: OUTPUT}
    for operator in file.operators():
        output = operator.outputs[0]
        if output not in names:
            names[output] = unique(operator.kind.lower())
        has_weights = operator.kind in tflite_file.OPERATORS_WITH_WEIGHTS
        for position, tensor in enumerate(operator.inputs):
            if tensor >= 0 and tensor not in names:
                names[tensor] = unique(_constant_name(names[output], position, has_weights=has_weights))
    file.rename_tensors([names.get(index, f"unused_{index}") for index in range(len(file.tensor_names))])


def layer_outputs(file: TfliteFile, layers: Collection[str], wanted: Collection[str]) -> list[str]:
    """The converter's names of the outputs of the wanted layers, in a file that has not been renamed."""
    tensor_names = file.tensor_names
    operators = _operators_of_layers(file, layers)
    return [tensor_names[index] for layer, operator in operators if layer in wanted for index in operator.outputs]


def outputs_with_exponential(file: TfliteFile, layers: Collection[str]) -> list[str]:
    """The converter's names of the outputs of activations that are computed by way of exp, such as softplus.

    The range of exp is so wide that 8 bits leave a few levels for the values that matter.
    """
    tensor_names = file.tensor_names
    operators = list(_operators_of_layers(file, layers))
    exponential = {layer for layer, operator in operators if operator.kind == "EXP"}
    return [
        tensor_names[index]
        for layer, operator in operators
        if layer in exponential and operator.kind not in tflite_file.OPERATORS_WITH_WEIGHTS
        for index in operator.outputs
    ]


def _operators_of_layers(file: TfliteFile, layers: Collection[str]) -> Iterator[tuple[str, Operator]]:
    """The operators that compute, each with its layer's name, or its kind if its layer is unknown."""
    tensor_names = file.tensor_names
    for operator in file.operators():
        if operator.kind not in tflite_file.QUANTIZATION_OPERATORS:
            layer = find_layer(tensor_names[operator.outputs[0]], layers)
            yield (to_layer_name(layer) if layer else operator.kind.lower()), operator


def _layer_outputs(file: TfliteFile, layers: Collection[str], unique: Callable[[str], str]) -> dict[int, str]:
    """Names after layers for the outputs of operators, by tensor index."""
    names = _operators_of_layers(file, layers)
    return {output: unique(name) for name, operator in names for output in operator.outputs}


def rename_onnx_tensors(model: Any, layers: Collection[str]) -> None:
    """Rename the nodes and tensors of a converted ModelProto after the layers (by converter name).

    The numbers in the converter's own names continue from one conversion to the next in the same process, so equal
    models would not give equal files.
    """
    graph, unique = model.graph, unique_names()
    names = {"": "", graph.input[0].name: unique(INPUT), graph.output[0].name: unique(OUTPUT)}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        paths = (node.name, *node.output)
        layer = next((layer for path in paths if (layer := find_layer(path, layers))), None)
        base = f"{to_layer_name(layer)}/{node.op_type}" if layer else node.op_type
        has_weights = node.op_type in onnx_file.OPERATORS_WITH_WEIGHTS
        for position, tensor in enumerate(node.input):
            if tensor in constants and tensor not in names:
                names[tensor] = unique(_constant_name(base, position, has_weights=has_weights))
        node.name = unique(base)
        for output in node.output:
            names.setdefault(output, node.name if output == node.output[0] else unique(base))
    _rename_in_nodes(graph, names)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    graph.initializer.sort(key=lambda tensor: tensor.name)
    del graph.value_info[:]
    graph.name, graph.doc_string = "model", ""


def layer_of_node(node_name: str) -> str:
    """The layer in the name of a renamed ONNX node."""
    return node_name.split("/", maxsplit=1)[0]


def _rename_in_nodes(graph: Any, names: dict[str, str]) -> None:
    """Rename the inputs and outputs of the nodes, and in subgraphs, which may read tensors of the graph around them."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                _rename_in_nodes(subgraph, names)


def _constant_name(base: str, position: int, *, has_weights: bool) -> str:
    """The name of the constant that the operator called `base` reads as its input at `position`."""
    role = {1: "weights", 2: "bias"}.get(position, "constant") if has_weights else "constant"
    return f"{base}/{role}"
