"""Cuts an .onnx file after each layer. Within a layer, ONNX Runtime fuses operators, which a cut would prevent."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.native_output import suppress_output
from mnistkit_export.prefixes import Cut, computed_from, needed
from mnistkit_export.tensor_names import layer_of_node

QUANTIZED = "DequantizeLinear"
FUSED = "QuantizeLinear", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid"  # with the operator before
Tensors = dict[str, NDArray[Any]]  # by name


def cut(content: bytes) -> Iterator[Cut]:
    """The file up to each layer, for one image. Nodes that only read constants belong to those that use them."""
    import onnx

    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    nodes = list(model.graph.node)
    computed = computed_from(str(model.graph.input[0].name), _edges(nodes))
    running = [node for node in nodes if computed & set(node.input)]
    constant = [node for node in nodes if not computed & set(node.input)]
    tensors = _run(model, [name for node in nodes for name in node.output if name])
    groups = _groups(running)
    end = 0
    for group in groups:
        end += len(group)
        kinds = tuple(node.op_type for node in group if node.op_type not in (QUANTIZED, "QuantizeLinear"))
        macs = sum(_macs(node, tensors) for node in group if node.input[1:2] and node.input[1] not in computed)
        prefix = _prefix(model, running[:end], running[end:], constant, tensors)
        yield Cut(layer_of_node(group[0].name), kinds, macs, prefix)


def _groups(nodes: list[Any]) -> list[list[Any]]:
    """The nodes of each layer, with the nodes of the next layer that ONNX Runtime fuses with them."""
    groups = list[list[Any]]()
    for _, iterator in itertools.groupby(nodes, key=lambda node: layer_of_node(node.name)):
        group = list(iterator)
        if groups and group[0].op_type in FUSED and group[0].input[0] in groups[-1][-1].output:
            groups[-1] += group
        else:
            groups.append(group)
    return groups


def _run(model: Any, names: list[str]) -> Tensors:
    """The constants, and the tensors of these names for a black image."""
    import onnx
    import onnxruntime

    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    known = {value.name for value in extended.graph.output}
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with suppress_output():
        session = onnxruntime.InferenceSession(extended.SerializeToString(), options, ["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    black = np.zeros(image.shape, np.float32)
    computed = session.run(names, {image.name: black})
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return constants | {image.name: black} | dict(zip(names, computed, strict=True))


def _prefix(model: Any, before: list[Any], after: list[Any], constant: list[Any], tensors: Tensors) -> bytes:
    """The nodes `before` as a file. Its outputs are the tensors that the nodes `after` read."""
    import onnx

    graph = model.graph
    read = {name for node in after for name in node.input} | {graph.output[0].name}
    live = [name for node in before for name in node.output if name in read]
    # A quantized tensor is cut where it is stored: dequantizing it would be work that the whole graph does not do.
    dequantized = {node.output[0]: node.input[0] for node in before if node.op_type == QUANTIZED}
    live = list(dict.fromkeys(dequantized.get(name, name) if after else name for name in live))
    available = [*constant, *before]
    kept = [available[position] for position in needed(live, _edges(available))]
    used = {name for node in kept for name in node.input}
    helper = onnx.helper
    outputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(tensors[name].dtype), list(tensors[name].shape)
        )
        for name in live
    ]
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    prefix = helper.make_graph(kept, "model", graph.input, outputs, constants)
    cut = helper.make_model(prefix, opset_imports=model.opset_import, ir_version=model.ir_version)
    content: bytes = cut.SerializeToString(deterministic=True)
    return content


def _edges(nodes: list[Any]) -> list[tuple[list[str], list[str]]]:
    return [(list(node.input), list(node.output)) for node in nodes]


def _macs(node: Any, tensors: Tensors) -> int:
    """The multiplications by weights: zero unless the node is a convolution or a matrix multiplication."""
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "ConvInteger"):
        return 0
    values, weights, output = (tensors[name] for name in (node.input[0], node.input[1], node.output[0]))
    if node.op_type in ("Conv", "ConvInteger"):
        return int(weights.size * np.prod(output.shape[2:]))
    if node.op_type == "ConvTranspose":
        return int(weights.size * np.prod(values.shape[2:]))
    inner = weights.size // output.shape[-1] if node.op_type == "Gemm" else weights.shape[-2]
    return int(output.size * inner)
