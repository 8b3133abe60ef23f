"""Turns machine code of 64-bit ARM into assembly, with LLVM."""

import re
import subprocess
from collections.abc import Iterable

PROGRAMS = {"llvm-mc-19": "llvm-19"}  # the Debian package of each program
TRIPLE = "aarch64"
_INVALID = re.compile(r"^<stdin>:(\d+):\d+: warning: invalid instruction encoding$", re.MULTILINE)


def disassemble(code: Iterable[bytes], cpu: str) -> list[str]:
    """The text of each instruction; empty if the processor does not have it. `cpu` is LLVM's name."""
    lines = [" ".join(f"{byte:#04x}" for byte in instruction) for instruction in code]
    command = "llvm-mc-19", "--disassemble", f"--triple={TRIPLE}", f"-mcpu={cpu}"
    result = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    invalid = {int(number) - 1 for number in _INVALID.findall(result.stderr)}
    texts = iter(line.strip() for line in result.stdout.splitlines() if line.startswith("\t") and line != "\t.text")
    return ["" if number in invalid else next(texts) for number in range(len(lines))]
