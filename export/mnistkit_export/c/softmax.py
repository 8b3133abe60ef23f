"""Softmax, with the exponents of all differences in a table."""

from collections.abc import Sequence

import numpy as np

from mnistkit_export.c.expf import expf
from mnistkit_export.c.fixed_point import exp_table
from mnistkit_export.c.kernel import PARAMETERS, Kernel, array, generate, indent, plus, shape_text
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Softmax
from mnistkit_export.c.requantization import float_text


@generate.register
def _(layer: Softmax, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    name, classes = layer.name, layer.output.shape[2]
    scale = np.float32(layer.inputs[0].scale)
    exponents = expf(-(scale * np.float32(layer.beta)) * np.arange(256, dtype=np.float32))
    constants = "".join(
        [
            "#if FLOAT_SCALE\n",
            array("float", f"{name}_exp", [float_text(value) for value in exponents]),
            "#else\n",
            array("int32_t", f"{name}_exp", [str(value) for value in exp_table(float(scale) * layer.beta)]),
            "#endif\n",
        ]
    )
    body = [
        "(void)scratch;",
        f"softmax({plus('in', source.start)}, {plus('out', target.start)}, {classes}, {name}_exp);",
    ]
    function = f"NOINLINE void {name}({PARAMETERS})\n{{\n{indent(body)}\n}}\n"
    return Kernel(name, f"softmax, {shape_text(layer.output)}", constants, function)
