"""What a layer's kernel is made of, and the small pieces of text that kernels share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Activation, Layer

PARAMETERS = "const act *in, act *out, act *scratch"


@dataclass(frozen=True)
class Tile:
    """An inner loop that a kernel calls: `pixels` pixels, or the maximum of four if `pooled`."""

    pixels: int
    pooled: bool
    positions: bool = False  # a list says which positions of the kernel are not blank


@dataclass(frozen=True)
class Kernel:
    """The text of a layer: its constants and its function, which model_predict calls with its inputs and output."""

    name: str
    comment: str
    constants: str
    function: str
    scratch: int = 0  # bytes of memory while it runs
    tiles: frozenset[Tile] = frozenset()
    marks: str | None = None  # a further buffer, with the pixels that are drawn


@singledispatch
def generate(layer: Layer, sources: Sequence[View], target: View) -> Kernel:
    """The kernel of a layer, for the views of its inputs and output; the modules of this package register theirs."""
    raise TypeError(f"no kernel for {type(layer).__name__}")


def shape_text(activation: Activation) -> str:
    """The shape as height x width x channels."""
    return "x".join(map(str, activation.shape))


def indent(lines: list[str], levels: int = 1) -> str:
    """The lines with four blanks more for each level."""
    return "\n".join(" " * 4 * levels + line if line else line for line in lines)


def array(kind: str, name: str, values: list[str]) -> str:
    """The definition of a constant array."""
    lines = [", ".join(values[start : start + 8]) for start in range(0, len(values), 8)]
    return f"static const {kind} {name}[] ALIGNED = {{\n{indent([f'{line},' for line in lines])}\n}};\n"


def pixel_at(pointer: str, view: View) -> str:
    """The C expression of the pixel in row y and column x."""
    return f"{plus(pointer, view.start)} + y * {view.row} + x * {view.pixel}"


def plus(base: str, offset: int) -> str:
    """The sum of a C expression and a constant."""
    return f"{base} + {offset}" if offset else base


def each_pixel(target: View, *body: str) -> list[str]:
    """Loops over the rows y and columns x of an output, with the pixel's channels as `to`."""
    height, width, _ = target.shape
    return [
        f"for (int y = 0; y < {height}; y++)",
        f"    for (int x = 0; x < {width}; x++) {{",
        f"        act *to = {pixel_at('out', target)};",
        *(f"        {line}" for line in body),
        "    }",
    ]
