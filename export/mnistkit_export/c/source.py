"""Puts the source file together: instruction sets, tiles, layers, model_predict."""

from dataclasses import dataclass
from importlib import resources

from mnistkit_export.c import convolution, copies, depthwise, elementwise, pooling, softmax  # noqa: F401  # kernels
from mnistkit_export.c.blank import DRAWN_BYTES
from mnistkit_export.c.kernel import Kernel, generate, indent
from mnistkit_export.c.memory import ALIGNMENT, Buffer, Memory, View, allocate, is_view, place
from mnistkit_export.c.network import Network, Slice
from mnistkit_export.c.requantization import float_text
from mnistkit_export.c.tiles import declare
from mnistkit_export.c.weights import order_macros

INSTRUCTION_SETS = """\
#if defined(MODEL_PLAIN)
{scalar}
{one_channel}
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__)
{avx512vnni}
#elif defined(__AVX2__)
{avx2}
#elif defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE & 1
{helium}
{one_channel}
#elif defined(__ARM_NEON) && defined(__aarch64__)
{neon}
#else
{scalar}
{one_channel}
#endif
"""


@dataclass(frozen=True)
class Step:
    """A kernel with the buffers of its inputs, output and scratch memory."""

    kernel: Kernel
    inputs: tuple[str, ...]
    output: str
    scratch: Buffer


@dataclass(frozen=True)
class Source:
    """The source of a network, below the head comment."""

    text: str
    arena: int  # bytes that model_predict needs at any alignment


def write(network: Network) -> Source:
    """The source of a network."""
    memory = allocate(network)
    steps = _steps(network, memory)
    scratch = [step.scratch for step in steps if step.scratch.size]
    offsets, arena = place([*memory.buffers.values(), *scratch, *_marks(steps)])
    sets = {name: _read(name).rstrip() for name in ("scalar", "avx512vnni", "avx2", "helium", "neon", "one_channel")}
    parts = [
        '#include "model.int8.h"\n',
        _read("common"),
        INSTRUCTION_SETS.format(**sets),
        *(_read(name) for name in ("shared", "layers", "softmax", "blank")),
        order_macros(),
        declare(frozenset(tile for step in steps for tile in step.kernel.tiles)),
        *(_layer(number, step.kernel) for number, step in enumerate(steps, 1)),
        _predict(network, memory, steps, offsets),
    ]
    return Source("\n".join(parts), arena + ALIGNMENT - 1)


def _steps(network: Network, memory: Memory) -> list[Step]:
    """A step for each layer that computes something."""
    steps = []
    for number, layer in enumerate(network.layers, 1):
        if not (isinstance(layer, Slice) and is_view(network, layer)):
            sources, target = [memory.views[activation] for activation in layer.inputs], memory.views[layer.output]
            kernel = generate(layer, sources, target)
            scratch = Buffer(f"{kernel.name} scratch", kernel.scratch, 0, False, number, number)
            steps.append(Step(kernel, tuple(source.buffer for source in sources), target.buffer, scratch))
    return steps


def _marks(steps: list[Step]) -> list[Buffer]:
    """The buffers with the pixels that are drawn, from the step that writes one to the last that reads it."""
    uses: dict[str, list[int]] = {}
    for step in steps:
        if step.kernel.marks:
            uses.setdefault(step.kernel.marks, []).append(step.scratch.first)
    return [Buffer(name, DRAWN_BYTES, 0, False, steps[0], steps[-1]) for name, steps in uses.items()]


def _layer(number: int, kernel: Kernel) -> str:
    return f"/* Layer {number}, {kernel.name}: {kernel.comment} */\n{kernel.constants}{kernel.function}"


def _predict(network: Network, memory: Memory, steps: list[Step], offsets: dict[str, int]) -> str:
    """The function model_predict."""
    lines = [
        f"act *const memory = (act *)arena + ({ALIGNMENT} - (uintptr_t)arena % {ALIGNMENT}) % {ALIGNMENT};",
        *_copy_image(network, memory.views[network.input], memory, offsets),
    ]
    for step in steps:
        names = [*step.inputs, step.output, step.scratch.name, *([step.kernel.marks] if step.kernel.marks else [])]
        arguments = ", ".join(f"memory + {offsets.get(name, 0)}" for name in names)
        lines += [*_fill(memory.buffers[step.output], offsets), f"{step.kernel.name}({arguments});"]
    lines += _read_result(network, memory.views[network.output], offsets)
    head = "NO_CALLS int model_predict(const uint8_t *image, float *probabilities, void *arena)"
    return f"{head}\n{{\n{indent(lines)}\n}}\n"


def _copy_image(network: Network, view: View, memory: Memory, offsets: dict[str, int]) -> list[str]:
    """The lines that store the image as activations."""
    height, width, channels = network.input.shape
    start, row = offsets[view.buffer] + view.start, width * channels
    if view.contiguous and not memory.buffers[view.buffer].filled:
        return [f"copy_image(memory + {start}, image, {height * row});"]
    return [
        *_fill(memory.buffers[view.buffer], offsets),
        f"for (int y = 0; y < {height}; y++)",
        f"    copy_image(memory + {start} + y * {view.row}, image + y * {row}, {row});",
    ]


def _fill(buffer: Buffer, offsets: dict[str, int]) -> list[str]:
    return [f"fill(memory + {offsets[buffer.name]}, {buffer.zero}, {buffer.size});"] if buffer.filled else []


def _read_result(network: Network, view: View, offsets: dict[str, int]) -> list[str]:
    """The lines that turn the last activation into probabilities and the label."""
    output = network.output
    return [
        f"const act *const result = memory + {offsets[view.buffer] + view.start};",
        "int label = 0;",
        f"for (int i = 0; i < {output.shape[2]}; i++) {{",
        f"    probabilities[i] = (float)(result[i] - OFFSET - ({output.zero})) * {float_text(output.scale)};",
        "    if (result[i] > result[label])",
        "        label = i;",
        "}",
        "return label;",
    ]


def _read(name: str) -> str:
    return (resources.files("mnistkit_export.c") / "kernels" / f"{name}.h").read_text()
