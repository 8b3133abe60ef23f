"""An artifact cut after one of its layers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """The part of a file up to a layer, as a file of its own."""

    layer: str
    operators: tuple[str, ...]  # of the layer
    macs: int  # of these operators
    content: bytes
