"""An artifact cut after one of its layers, and what cutting has in common in both formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")  # a tensor: its index or its name
Edges = Sequence[tuple[Iterable[T], Iterable[T]]]  # inputs and outputs of the operators, in the order in which they run


@dataclass(frozen=True)
class Cut:
    """The part of a file up to a layer, as a file of its own."""

    layer: str
    operators: tuple[str, ...]  # of the layer
    macs: int  # of these operators
    content: bytes


def computed_from(start: T, edges: Edges[T]) -> set[T]:
    """The tensors that depend on `start`, with it."""
    computed = {start}
    for inputs, outputs in edges:
        if computed.intersection(inputs):
            computed.update(outputs)
    return computed


def needed(wanted: Iterable[T], edges: Edges[T]) -> list[int]:
    """The positions of the operators that the wanted tensors depend on, in order."""
    tensors, kept = set(wanted), list[int]()
    for position in reversed(range(len(edges))):
        inputs, outputs = edges[position]
        if tensors.intersection(outputs):
            kept.insert(0, position)
            tensors.update(inputs)
    return kept
