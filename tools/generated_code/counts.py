"""The instructions that one inference of generated C takes, in total and by function."""

import bisect
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generated_code import programs
from generated_code.processors import Processor
from generated_code.programs import BARE_METAL, COUNT_LOOP, run
from instructions import blocks
from instructions.blocks import Block


@dataclass(frozen=True)
class FunctionCount:
    """The instructions of a function."""

    name: str
    instructions: int
    mnemonics: Counter[str]  # the instructions of each


def build(source: Path, processor: Processor, folder: Path, options: tuple[str, ...] = ("-O2",)) -> Path:
    """The program that is counted, in `folder`."""
    return programs.build(source, processor, folder, BARE_METAL if processor.board else COUNT_LOOP, options)


def count(program: Path, processor: Processor, plugin: Path, image: NDArray[np.uint8]) -> list[Block]:
    """The blocks that the inference of one image executes; exits if the program fails."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder, out = Path(name), Path(name) / "blocks"
        image.tofile(folder / "images.bin")
        if processor.board:
            addresses = {function: address for address, function in symbols(program, processor)}
            marks = f"start={addresses['model_predict']},stop={addresses['after_prediction']}"
            run(*processor.emulator, "-plugin", f"{plugin},out={out},{marks}", "-kernel", program, folder=folder)
        else:
            emulator = "setarch", "-R", *processor.emulator
            run(*emulator, "-plugin", f"{plugin},out={out}", program, folder / "images.bin")
        return blocks.read(out)


def symbols(program: Path, processor: Processor) -> list[tuple[int, str]]:
    """The address and the name of each function, in order."""
    lines = [line.split() for line in run(f"{processor.prefix}nm", "-n", program).splitlines()]
    thumb = 1 if processor.prefix.startswith("arm") else 0  # the last bit of an address, which is no part of it
    return [
        (int(address, 16) & ~thumb, name)
        for address, kind, name in (line for line in lines if len(line) == 3)
        if kind in "tTwWiI" and not name.startswith("$")
    ]


def by_function(program: Path, processor: Processor, executed: list[Block]) -> list[FunctionCount]:
    """The instructions of each function, the function with the most first."""
    addresses, names = zip(*symbols(program, processor), strict=True)
    known = _mnemonics(program, processor)
    mnemonics: dict[str, Counter[str]] = {}
    for block in executed:
        counter = mnemonics.setdefault(names[bisect.bisect_right(addresses, block.address) - 1], Counter())
        address = block.address
        for code in block.code:
            counter[known.get(address, "unknown")] += block.executions
            address += len(code)
    counts = [FunctionCount(name, counter.total(), counter) for name, counter in mnemonics.items()]
    return sorted(counts, key=lambda count: -count.instructions)


def _mnemonics(program: Path, processor: Processor) -> dict[int, str]:
    """The mnemonic of the instruction at each address."""
    lines = run(f"{processor.prefix}objdump", "-d", "-w", "-z", *processor.disassembly, program).splitlines()
    parts = [line.split("\t") for line in lines]
    return {int(part[0].strip(" :"), 16): part[2].split()[0] for part in parts if len(part) > 2 and part[2].strip()}
