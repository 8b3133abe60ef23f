"""Images and their classifications as text for a terminal."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from mnistkit.verify.classify import Classification

SHADES = " ░▒▓█"
BAR_WIDTH = 50  # characters, for a probability of 1


def blocks(image: NDArray[np.uint8]) -> str:
    """An image [height, width, channels] in shaded block characters, two per pixel."""
    shades = image.mean(axis=-1) * len(SHADES) / 256
    return "\n".join("".join(SHADES[int(shade)] * 2 for shade in row).rstrip() for row in shades)


def classification_text(result: Classification) -> Text:
    """The probability of each class as a bar, then the predicted and the true label."""
    text = Text()
    width = max(3, *map(len, result.names))
    for label, (name, probability) in enumerate(zip(result.names, result.probabilities, strict=True)):
        bar = "█" * round(BAR_WIDTH * probability)
        style = "bold" if label == result.label else ""
        text.append(f"{name:>{width}} {100 * probability:6.2f}% {bar}".rstrip() + "\n", style)
    text.append(f"predicted {result.names[result.label]}", "bold")
    correct = result.label == result.true_label
    outcome = "correct" if correct else "wrong"
    text.append(f", label {result.names[result.true_label]}: {outcome}", "green" if correct else "red")
    return text
