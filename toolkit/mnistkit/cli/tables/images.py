"""Images and their classifications, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

if TYPE_CHECKING:
    from mnistkit.verify.classify import Classification

SHADES = " ░▒▓█"
BAR_WIDTH = 50


def blocks(image: NDArray[np.uint8]) -> str:
    """An image [height, width, channels] in shades of two characters a pixel, for a terminal."""
    shades = image.mean(axis=-1) * len(SHADES) / 256
    return "\n".join("".join(SHADES[int(shade)] * 2 for shade in row).rstrip() for row in shades)


def answer_text(answer: Classification) -> Text:
    """The probabilities of one image as bars, the answer marked, and whether it is right."""
    lines = Text()
    width = max(3, *map(len, answer.names))
    for label, (name, probability) in enumerate(zip(answer.names, answer.probabilities, strict=True)):
        bar = "█" * round(BAR_WIDTH * probability)
        style = "bold" if label == answer.label else ""
        lines.append(f"{name:>{width}} {100 * probability:6.2f}% {bar}".rstrip() + "\n", style)
    right = answer.label == answer.true_label
    lines.append(answer.names[answer.label], "bold")
    truth = answer.names[answer.true_label]
    lines.append(f", and it is {truth}: " + ("right" if right else "wrong"), "green" if right else "red")
    return lines
