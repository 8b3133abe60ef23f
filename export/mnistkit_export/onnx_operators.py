"""TensorFlow operators that tf2onnx does not know, expressed in ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np


def _convert_erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Erfc(x) = 1 - Erf(x), which Keras's exact GELU needs; to a float32 rounding of 1."""
    (tensor,), (output,) = node.input, node.output
    shapes, dtypes = [graph.get_shape(output)], [graph.get_dtype(output)]
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [tensor], shapes=shapes, dtypes=dtypes, name=f"{name}/erf")
    one = graph.make_const(f"{name}/one", np.array(1, np.float32))
    inputs = [one.output[0], erf.output[0]]
    graph.make_node("Sub", inputs, outputs=[output], shapes=shapes, dtypes=dtypes, name=f"{name}/sub")


# As tf2onnx takes them.
OPERATORS: dict[str, tuple[Callable[..., None], list[Any]]] = {"Erfc": (_convert_erfc, [])}
