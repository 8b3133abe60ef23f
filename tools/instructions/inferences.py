"""Counts the instructions of inferences that a runtime executes, called from Python.

Counts are reproducible once everything that varies between runs is fixed: addresses (setarch -R), the order of sets
(PYTHONHASHSEED=0), environment variables, and random numbers (-seed).
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from instructions import blocks, cycles, inference_loop

INFERENCES = inference_loop.IMAGES * inference_loop.REPETITIONS
ENVIRONMENT = {
    "PATH": "/nowhere",  # has no C compiler: the libraries in the bundle are counted
    "HOME": "/",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Machine:
    """An emulated processor with a Python that has the runtimes."""

    emulator: tuple[str, ...]  # the command without the program
    interpreter: Path
    model: str | None = None  # LLVM's name of the processor; None for no estimate of cycles


@dataclass(frozen=True)
class Cost:
    """The cost of one inference on one thread: only the call of the runtime, from Python. The mean over images."""

    instructions: int
    cycles: int | None  # estimated; None if LLVM has no model of the processor


def measure(machine: Machine, plugin: Path, runtime: str, artifact: Path, test_set: Path) -> Cost:
    """Measure the cost of an inference."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-count-") as folder:
        out = Path(folder) / "blocks"
        emulator, *options = machine.emulator
        program = machine.interpreter, inference_loop.__file__, runtime, artifact, test_set
        command = which("setarch"), "-R", which(emulator), *options, "-seed", 0, "-plugin", f"{plugin},out={out}"
        words = [str(word) for word in (*command, *program)]
        result = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SystemExit(f"{artifact.name} on {runtime}: {result.stderr.strip()}")
        executed = blocks.read(out)
    estimate = cycles.estimate(executed, machine.model) if machine.model else None
    return Cost(round(blocks.count(executed) / INFERENCES), None if estimate is None else round(estimate / INFERENCES))
