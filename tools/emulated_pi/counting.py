"""Counts the instructions of inferences on an emulated board, and estimates their cycles."""

import json
import subprocess

from emulated_pi.board import Board
from instructions.inferences import Machine

PRINT_VERSIONS = "import json; from mnistkit.runtimes import runtime_versions; print(json.dumps(runtime_versions()))"
# LLVM's models of the boards' processors. That of the Cortex-A72 is the model of its predecessor, the Cortex-A57. LLVM
# has none of the Cortex-A76; the Neoverse N1 is its variant for servers.
MODELS = {"cortex-a72": "cortex-a72", "cortex-a76": "neoverse-n1"}


def machine(board: Board, *, cycles: bool = True) -> Machine:
    """The board as a machine whose instructions are counted, and whose cycles are estimated if there is a model."""
    emulator = board.release.emulator, "-cpu", board.cpu, "-L", str(board.root)
    return Machine(emulator, board.interpreter, MODELS.get(board.cpu) if cycles else None)


def tool_versions(board: Board) -> dict[str, str]:
    """The versions of Python, mnistkit and the runtimes on the board, and of QEMU."""
    versions: dict[str, str] = json.loads(board.run("python3", "-P", "-c", PRINT_VERSIONS).stdout)
    versions.pop("C compiler", None)  # that of this machine, which the board's programs find
    qemu = subprocess.run([board.release.emulator, "--version"], capture_output=True, text=True, check=True)
    return {**versions, "qemu": qemu.stdout.split()[2]}
