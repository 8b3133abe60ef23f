"""Weights as text: 32-bit words in blocks of 16 output channels and 16 inputs.

Macros put a block into the order that the instruction set reads.

A word has the weights of four consecutive inputs of one output channel. The words stand in the order
[block of channels][row][four inputs][channel of the block], which the dot product instructions read as it is.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHANNELS = 16  # of a block
WORD = 4  # inputs


def pack(rows: NDArray[np.int8]) -> Iterator[tuple[int, list[int]]]:
    """For each macro of the text: the number of inputs / 4, at most 4, and the words.

    `rows` is [output channels, rows, inputs]; channels are filled up to a block, inputs to a word, with zeros.
    """
    channels, count, inputs = rows.shape
    filled = np.zeros((padded(channels, CHANNELS), count, padded(inputs, WORD)), np.int8)
    filled[:channels, :, :inputs] = rows
    words = filled.view("<u4").reshape(-1, CHANNELS, count, filled.shape[2] // WORD)
    for block in words:
        for row in range(count):
            for first in range(0, words.shape[3], 4):
                part = block[:, row, first : first + 4]
                yield part.shape[1], part.T.ravel().tolist()


def declare(name: str, rows: NDArray[np.int8]) -> str:
    """The definition of an array of weights."""
    lines = []
    for count, words in pack(rows):
        text = [f"WEIGHTS_{count}("]
        for start in range(0, len(words), 8):
            line = ", ".join(f"0x{word:08x}" for word in words[start : start + 8])
            text.append(f"    {line}{',' if start + 8 < len(words) else ')'}")
        lines.append("\n".join(text))
    body = ",\n".join(lines)
    return f"static const uint32_t {name}[] ALIGNED = {{\n{body}\n}};\n"


def padded(inputs: int, to: int) -> int:
    """The number of inputs, filled up."""
    return -(-inputs // to) * to


def order_macros() -> str:
    """The macros WEIGHTS_1 to WEIGHTS_4 of both orders."""
    lines = ["#ifdef CHANNEL_ROWS /* 16 inputs of a channel, then the next channel */"]
    for count in range(1, 5):
        names = [[f"{'abcd'[group]}{channel}" for channel in range(CHANNELS)] for group in range(count)]
        parameters = ", ".join(", ".join(group) for group in names)
        ordered = ", ".join(
            names[group][channel] if group < count else "0" for channel in range(CHANNELS) for group in range(4)
        )
        lines.append(f"#define WEIGHTS_{count}({parameters}) \\\n    {ordered}")
    lines.append("#else /* 4 inputs of 16 channels, then the next inputs */")
    lines += [f"#define WEIGHTS_{count}(...) __VA_ARGS__" for count in range(1, 5)]
    lines.append("#endif")
    return "\n".join(lines) + "\n"
