"""Maximum and average pooling; positions outside of the image do not count."""

from collections.abc import Sequence

from mnistkit_export.c.kernel import PARAMETERS, Kernel, each_pixel, generate, indent, plus, shape_text
from mnistkit_export.c.memory import View
from mnistkit_export.c.network import Pool


@generate.register
def _(layer: Pool, sources: Sequence[View], target: View) -> Kernel:
    (source,) = sources
    window = layer.window
    (kernel_h, kernel_w), (stride_h, stride_w) = window.kernel, window.strides
    top, _, left, _ = window.padding
    height, width, _ = source.shape
    call = f"{layer.kind}_pool(from, bottom - top, right - left, {source.row}, {source.pixel}, to, {target.pixel}, "
    lines = each_pixel(
        target,
        *_limits(("top", "bottom"), f"y * {stride_h} - {top}", kernel_h, height),
        *_limits(("left", "right"), f"x * {stride_w} - {left}", kernel_w, width),
        f"const act *from = {plus('in', source.start)} + top * {source.row} + left * {source.pixel};",
        f"{call}{layer.limits.low}, {layer.limits.high});",
    )
    body = indent(["(void)scratch;", *lines])
    comment = f"{layer.kind} of {kernel_h}x{kernel_w}, {shape_text(layer.inputs[0])} -> {shape_text(layer.output)}"
    return Kernel(layer.name, comment, "", f"NOINLINE void {layer.name}({PARAMETERS})\n{{\n{body}\n}}\n")


def _limits(names: tuple[str, str], start: str, kernel: int, size: int) -> list[str]:
    """The first position of a window inside of the image, and the one after its last."""
    first, end = names
    return [
        f"const int {first} = {start} < 0 ? 0 : {start};",
        f"const int {end} = {start} + {kernel} > {size} ? {size} : {start} + {kernel};",
    ]
