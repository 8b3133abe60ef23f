"""The blocks of instructions that a program executed under QEMU with the plugin blocks.c."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mnistkit.core import files

SOURCE = Path(__file__).parent / "blocks.c"
COMPILE = "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"


@dataclass(frozen=True)
class Block:
    """A run of instructions that was executed from its start to its end."""

    address: int
    executions: int
    code: tuple[bytes, ...]  # of each instruction

    @property
    def instructions(self) -> int:
        """The number of instructions that all executions took."""
        return len(self.code) * self.executions


def build_plugin(folder: Path) -> Path:
    """The compiled plugin in `folder`, built again if its source is newer."""
    plugin = folder / "blocks.so"
    if not plugin.exists() or plugin.stat().st_mtime < SOURCE.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        with files.atomic_file(plugin) as temporary:
            subprocess.run([*COMPILE, "-o", str(temporary), str(SOURCE)], check=True)
    return plugin


def read(path: Path) -> list[Block]:
    """The blocks in a file of the plugin; empty if the program set no mark."""
    return [_parse(line) for line in path.read_text().splitlines()] if path.exists() else []


def _parse(line: str) -> Block:
    address, executions, code = line.split()
    return Block(int(address), int(executions), tuple(map(bytes.fromhex, code.rstrip(",").split(","))))


def count(blocks: Iterable[Block]) -> int:
    """The number of instructions that were executed."""
    return sum(block.instructions for block in blocks)
