"""Cuts a .tflite file after each operator."""

from collections.abc import Iterator

import numpy as np

from mnistkit.formats.tflite_file import Operator, TfliteFile
from mnistkit_export.prefixes import Cut, computed_from, needed

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def cut(content: bytes) -> Iterator[Cut]:
    """The file up to each of its operators. Operators that only read constants belong to those that use them."""
    file = TfliteFile.from_bytes(content)
    operators = file.operators()
    computed = computed_from(file.input, _edges(operators))
    for end, operator in enumerate(operators, 1):
        if computed & set(operator.inputs):
            layer = file.tensor_names[operator.outputs[0]].partition(".")[0]
            yield Cut(layer, (operator.kind,), _macs(file, operator), _prefix(content, end, computed))


def _prefix(content: bytes, end: int, computed: set[int]) -> bytes:
    """The file up to the operator before `end`. Its outputs are the tensors that the rest of the file reads."""
    file = TfliteFile.from_bytes(content)
    operators, graph = file.operators(), file.model.subgraphs[0]
    used = {tensor for operator in operators[end:] for tensor in operator.inputs} | {file.output}
    last = operators[end - 1].outputs
    live = [t for operator in operators[: end - 1] for t in operator.outputs if t in used & computed and t not in last]
    kept = needed([*live, *last], _edges(operators[:end]))
    graph.operators = [graph.operators[position] for position in kept]
    graph.outputs = np.array([*live, *last], np.int32)
    read = {tensor for position in kept for tensor in operators[position].inputs if tensor >= 0}
    buffers = {graph.tensors[tensor].buffer for tensor in read}  # equal constants share one
    buffers |= {tensor.buffer for loop in file.model.subgraphs[1:] for tensor in loop.tensors}
    for number, buffer in enumerate(file.model.buffers):
        if number not in buffers:
            buffer.data = None
    file.model.signatureDefs = None
    file.model.metadata = None
    return file.to_bytes()


def _edges(operators: list[Operator]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(operator.inputs, operator.outputs) for operator in operators]


def _macs(file: TfliteFile, operator: Operator) -> int:
    if operator.kind not in (*CONVOLUTIONS, "FULLY_CONNECTED", "TRANSPOSE_CONV"):
        return 0
    tensors = file.model.subgraphs[0].tensors
    weights = int(np.prod(tensors[operator.inputs[1]].shape))
    if operator.kind == "FULLY_CONNECTED":
        return weights * int(np.prod(tensors[operator.outputs[0]].shape[:-1]))
    positions = operator.outputs[0] if operator.kind in CONVOLUTIONS else operator.inputs[2]
    return weights * int(np.prod(tensors[positions].shape[1:3]))
