"""Counts the instructions of an inference with a QEMU plugin.

Counts are reproducible once everything that varies between runs is fixed: addresses (setarch -R), the order of sets
(PYTHONHASHSEED=0), environment variables, and random numbers (-seed).
"""

import json
import subprocess
import tempfile
from pathlib import Path

from emulated_pi.board import Board
from mnistkit.core import files

FOLDER = Path(__file__).parent
INFERENCES = 50
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
COMPILE = "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"
PRINT_VERSIONS = "import json; from mnistkit.runtimes import runtime_versions; print(json.dumps(runtime_versions()))"


def build_plugin(board: Board) -> Path:
    """The compiled plugin, built again if its source is newer."""
    plugin, source = board.folder.parent / "icount.so", FOLDER / "icount.c"
    if not plugin.exists() or plugin.stat().st_mtime < source.stat().st_mtime:
        with files.atomic_file(plugin) as temporary:
            subprocess.run([*COMPILE, "-o", str(temporary), str(source)], check=True)
    return plugin


def count_instructions(board: Board, plugin: Path, runtime: str, artifact: Path, test_set: Path) -> int:
    """Count the instructions of one inference on one thread: only the call of the runtime, from Python."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-count-") as folder:
        marks = Path(folder) / "marks"
        emulator = board.release.emulator, "-cpu", board.cpu, "-L", board.root, "-seed", 0
        program = board.interpreter, FOLDER / "inference_loop.py", runtime, artifact, test_set, INFERENCES
        command = "setarch", "-R", *emulator, "-plugin", f"{plugin},out={marks}", *program
        result = subprocess.run([*map(str, command)], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SystemExit(f"{artifact.name} on {runtime}, {board.name}: {result.stderr.strip()}")
        before, after = (int(line.split()[1]) for line in marks.read_text().splitlines())
    return round((after - before) / INFERENCES)


def tool_versions(board: Board) -> dict[str, str]:
    """The versions of Python, mnistkit and the runtimes on the board, and of QEMU."""
    versions: dict[str, str] = json.loads(board.run("python3", "-P", "-c", PRINT_VERSIONS).stdout)
    qemu = subprocess.run([board.release.emulator, "--version"], capture_output=True, text=True, check=True)
    return {**versions, "qemu": qemu.stdout.split()[2]}
