"""Exports grouped convolutions to ONNX, exactly.

TensorFlow runs a grouped convolution inside a compiled function, which tf2onnx leaves as it is. So it is converted with
a kernel that covers all channels and is zero between groups, from which the blocks of the ONNX kernel are then taken.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel, import_keras, leaf_layers
from mnistkit_export.tensor_names import layer_of_node, to_layer_name


def find_groups(model: KerasModel) -> dict[str, int]:
    """The number of groups of each grouped convolution, by layer name."""
    return {to_layer_name(layer.name): layer.groups for layer in leaf_layers(model) if _is_grouped(layer)}


def _is_grouped(layer: Any) -> bool:
    return type(layer).__name__ in ("Conv1D", "Conv2D") and layer.groups > 1


def with_full_kernels(model: KerasModel) -> KerasModel:
    """A copy of the model with ungrouped convolutions that compute the same."""
    copy = import_keras().models.clone_model(model, clone_function=_ungrouped, recursive=True)
    for layer, copied in zip(leaf_layers(model), leaf_layers(copy), strict=True):
        weights = layer.get_weights()
        if _is_grouped(layer):
            weights[0] = _full_kernel(weights[0], layer.groups)
        keras_models.set_weights(copied, weights)
    return copy


def _ungrouped(layer: Any) -> Any:
    config = layer.get_config()
    return type(layer).from_config(config | {"groups": 1} if _is_grouped(layer) else config)


def _full_kernel(kernel: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """The kernel [..., inputs, outputs] of one convolution for a kernel [..., inputs / groups, outputs]."""
    blocks = np.split(kernel, groups, axis=-1)
    full = np.zeros((*kernel.shape[:-2], groups * kernel.shape[-2], kernel.shape[-1]), kernel.dtype)
    height, width = blocks[0].shape[-2:]
    for i, block in enumerate(blocks):
        full[..., i * height : (i + 1) * height, i * width : (i + 1) * width] = block
    return full


def restore_groups(model: Any, groups: dict[str, int]) -> None:
    """Make the convolutions of a renamed ModelProto grouped again."""
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        count = groups.get(layer_of_node(node.name), 1)
        if node.op_type == "Conv" and count > 1:
            tensor = constants[node.input[1]]
            full = numpy_helper.to_array(tensor)  # [outputs, inputs, ...]
            rows = np.split(full, count, axis=0)
            blocks = [np.split(row, count, axis=1)[i] for i, row in enumerate(rows)]
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate(blocks), tensor.name))
            kept = [attribute for attribute in node.attribute if attribute.name != "group"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("group", count)])
