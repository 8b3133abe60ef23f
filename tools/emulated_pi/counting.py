"""Counts the instructions of an inference, by a plugin of QEMU's.

The count is the same to the instruction, run after run, once nothing that changes by itself is left: addresses
(setarch -R), the order of sets (PYTHONHASHSEED=0), the environment (empty), random numbers (-seed).
"""

from __future__ import annotations

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


def plugin(board: Board) -> Path:
    """The plugin, compiled where it is not yet."""
    built, source = board.folder.parent / "icount.so", FOLDER / "icount.c"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        with files.atomic_file(built) as temporary:
            subprocess.run([*COMPILE, "-o", str(temporary), str(source)], check=True)
    return built


def instructions(board: Board, counter: Path, runtime: str, artifact: Path, test_set: Path) -> int:
    """Of one inference of the artifact, the runtime's call from Python and nothing else, on one thread.

    `counter` is the plugin.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-count-") as folder:
        out = Path(folder) / "marks"
        machine = board.release.emulator, "-cpu", board.cpu, "-L", board.root, "-seed", 0
        program = board.interpreter, FOLDER / "counted.py", runtime, artifact, test_set, INFERENCES
        command = "setarch", "-R", *machine, "-plugin", f"{counter},out={out}", *program
        done = subprocess.run([*map(str, command)], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{artifact.name} on {runtime}, {board.name}: {done.stderr.strip()}")
        before, after = (int(line.split()[1]) for line in out.read_text().splitlines())
    return round((after - before) / INFERENCES)


def version(board: Board) -> str:
    """QEMU's."""
    done = subprocess.run([board.release.emulator, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[2]


def versions(board: Board) -> dict[str, str]:
    """Those of what runs on the board, and of what it runs on."""
    ask = "import json; from mnistkit.runtimes import runtime_versions; print(json.dumps(runtime_versions()))"
    done = board.run("python3", "-P", "-c", ask)
    found: dict[str, str] = json.loads(done.stdout)
    return {**found, "qemu": version(board)}
