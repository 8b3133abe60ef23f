"""Estimates the cycles of executed blocks with LLVM's model of a processor, llvm-mca.

llvm-mca simulates how the processor issues the instructions of a block to its execution units, when the block is
repeated. The estimate is the sum over all blocks, each times its executions. It leaves out caches and the latency of
memory, branch prediction, the fetching of instructions, and how one block overlaps with the next.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable

from instructions import disassembly
from instructions.blocks import Block

PROGRAMS = disassembly.PROGRAMS | {"llvm-mca-19": "llvm-19"}
ITERATIONS = 100
COVERED = 0.999  # the rarest blocks together are left out, and the estimate is scaled up
_REGION = re.compile(r"^\[\d+\] Code Region - (\d+)$.*?^Total Cycles: +(\d+)$", re.MULTILINE | re.DOTALL)

Code = tuple[bytes, ...]


def estimate(blocks: Iterable[Block], cpu: str) -> float:
    """The cycles that the blocks of 64-bit ARM take together; `cpu` is LLVM's name of the processor."""
    executions: Counter[Code] = Counter()  # QEMU may have translated a block several times
    for block in blocks:
        executions[block.code] += block.executions
    chosen = _most_executed(executions)
    cycles = sum(executions[code] * number for code, number in zip(chosen, _simulate(chosen, cpu), strict=True))
    covered = sum(len(code) * executions[code] for code in chosen)
    return cycles * sum(len(code) * number for code, number in executions.items()) / covered


def _most_executed(executions: Counter[Code]) -> list[Code]:
    """The blocks that take the most instructions, as many as are needed to cover the share COVERED of them."""
    instructions = {code: len(code) * number for code, number in executions.items()}
    missing = COVERED * sum(instructions.values())
    chosen = []
    for code in sorted(instructions, key=lambda code: -instructions[code]):
        if missing <= 0:
            break
        chosen.append(code)
        missing -= instructions[code]
    return chosen


def _simulate(blocks: list[Code], cpu: str) -> list[float]:
    """The cycles of each block."""
    texts = iter(disassembly.disassemble((instruction for code in blocks for instruction in code), cpu))
    assembly = []
    for number, code in enumerate(blocks):
        assembly += [f"# LLVM-MCA-BEGIN {number}", *(next(texts) for _ in code), "# LLVM-MCA-END"]
    # An instruction that the model lacks, such as one of the operating system, takes no time.
    options = f"-iterations={ITERATIONS}", "-skip-unsupported-instructions=any"
    output = "-resource-pressure=0", "-instruction-info=0"
    command = "llvm-mca-19", f"-mtriple={disassembly.TRIPLE}", f"-mcpu={cpu}", *options, *output
    result = subprocess.run(command, input="\n".join(assembly), capture_output=True, text=True, check=False)
    cycles = {int(number): int(total) / ITERATIONS for number, total in _REGION.findall(result.stdout)}
    if result.returncode or len(cycles) < len(blocks):
        raise SystemExit(f"llvm-mca estimated {len(cycles)} of {len(blocks)} blocks: {result.stderr.strip()[:500]}")
    return [cycles[number] for number in range(len(blocks))]
