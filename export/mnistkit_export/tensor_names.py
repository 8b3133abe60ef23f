"""Layers' names, through the converters and back: what a tensor in an artifact came from.

A converter calls a tensor by the path of the operation that made it, `model/layer/operation`, or by several such
paths joined with ";", and counts a name that was used before up: `conv2d` becomes `conv2d_1`, and so what `conv2d_1`
was can't be told. A layer that goes in as `conv2d-1` comes out as `conv2d-1` or `conv2d-1_2`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

ROLES = {1: "weights", 2: "bias"}  # of what an operator that has weights takes, by its place
OWN_COUNT = re.compile(r"_(?=\d+$)")
CONVERTERS_COUNT = re.compile(r"_\d+$")


def to_converter_name(layer: str) -> str:
    """The name that a layer is to be converted under."""
    return OWN_COUNT.sub("-", layer)


def find_layer(path: str, layers: Iterable[str]) -> str | None:
    """Which of these layers, by their traceable names, the tensor or operation of this name came from."""
    for operation in reversed(path.split(";")):
        for part in operation.split("/"):
            for name in (part, CONVERTERS_COUNT.sub("", part)):
                if name in layers:
                    return name
    return None


def to_layer_name(layer: str) -> str:
    """The layer's own name."""
    return re.sub(r"-(?=\d+$)", "_", layer)


def constant_name(base: str, place: int, *, weighted: bool) -> str:
    """What to call the constant that an operator called `base` takes at this place."""
    role = ROLES.get(place, "constant") if weighted else "constant"
    return f"{base}/{role}"


def unique_names() -> Callable[[str], str]:
    """A function that gives each name back as it is, and counts those that came before: a, a.2, a.3."""
    seen: Counter[str] = Counter()

    def unique(name: str) -> str:
        seen[name] += 1
        return name if seen[name] == 1 else unique(f"{name}.{seen[name]}")

    return unique
