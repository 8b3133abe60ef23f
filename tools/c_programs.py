"""Compiles generated C for an instruction set, runs it on images, and runs the kernels of TFLite that it must equal."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.cpu import this_cpu
from mnistkit.core.native_output import suppress_output
from mnistkit.runtimes.tflite import TfliteSession
from mnistkit_export.c import GeneratedCode

Rounding = Literal["float-scale", "fixed-point"]
Kernels = Literal["xnnpack", "reference"]

ROUNDINGS: tuple[Rounding, ...] = ("float-scale", "fixed-point")
KERNELS: dict[Rounding, Kernels] = {"float-scale": "xnnpack", "fixed-point": "reference"}  # what each must equal
ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "tests" / "c" / "harness.c"
SIMDE = ROOT / "tests" / "c" / "simde_vnni.h"
SIMDE_HEADER = Path("/usr/include/simde/x86/avx512.h")
STRICT = "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"
TIMEOUT = 600  # seconds
X86, AARCH64 = "x86_64", "aarch64"


class ProgramError(Exception):
    """A compiler or a compiled program failed."""


@dataclass(frozen=True)
class InstructionSet:
    """How code for an instruction set is compiled, and what runs it."""

    architecture: str  # of the compiler's output; empty: of any
    flags: tuple[str, ...]
    cpu: str = ""  # model that QEMU emulates; empty: programs run natively
    features: tuple[str, ...] = ()  # that a CPU must have to run programs natively
    header: Path | None = None  # that must be installed


INSTRUCTION_SETS = {
    "plain": InstructionSet("", ("-DMODEL_PLAIN",)),
    "avx2": InstructionSet(X86, ("-march=haswell",), features=("avx2", "fma")),
    "vnni": InstructionSet(X86, ("-march=icelake-client",), features=("avx512_vnni", "avx512bw")),
    # SIMDe's own vectors of 64 bytes have no calling convention of the processor.
    "simde-vnni": InstructionSet(
        X86, ("-march=haswell", "-Wno-psabi", "-include", str(SIMDE)), features=("avx2", "fma"), header=SIMDE_HEADER
    ),
    "neon-dot": InstructionSet(AARCH64, ("-mcpu=cortex-a76",), cpu="cortex-a76"),
    "neon": InstructionSet(AARCH64, ("-mcpu=cortex-a72",), cpu="cortex-a72"),
}
NATIVE = ("plain", "avx2", "vnni", "simde-vnni")
EMULATED = ("neon", "neon-dot")


def installed(program: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(program) is not None


def missing_features(name: str) -> list[str]:
    """The features that this CPU lacks to run code for an instruction set."""
    instruction_set, cpu = INSTRUCTION_SETS[name], this_cpu()
    if instruction_set.cpu or not instruction_set.architecture:
        return []
    features = cpu.features if cpu.architecture == instruction_set.architecture else []
    return [feature for feature in instruction_set.features if feature not in features]


def compiler(name: str, program: str = "gcc") -> list[str]:
    """The compiler for an instruction set with its flags; `program` is gcc, g++ or a clang."""
    instruction_set = INSTRUCTION_SETS[name]
    foreign = instruction_set.architecture not in ("", this_cpu().architecture)
    if program.startswith("clang"):
        target = [f"--target={instruction_set.architecture}-linux-gnu"] if foreign else []
        return [program, *target, *instruction_set.flags]
    prefix = f"{instruction_set.architecture}-linux-gnu-" if foreign else ""
    return [f"{prefix}{program}", *instruction_set.flags]


def emulator(name: str) -> list[str]:
    """The start of a command line that runs a program for an instruction set."""
    cpu = INSTRUCTION_SETS[name].cpu
    return [f"qemu-{INSTRUCTION_SETS[name].architecture}", "-cpu", cpu] if cpu else []


def macro(rounding: Rounding) -> str:
    """The compiler's option for a rounding."""
    return f"-DMODEL_FLOAT_SCALE={int(rounding == 'float-scale')}"


def write(code: GeneratedCode, folder: Path) -> Path:
    """Write the files of a network to a folder; return the path of the source."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.int8.h").write_text(code.header)
    (folder / "model.int8.c").write_text(code.source)
    return folder / "model.int8.c"


def run(*command: object, timeout: float = TIMEOUT) -> str:
    """Run a command and return its output; raises ProgramError, with its messages, if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout)
    if result.returncode:
        messages = f"{result.stdout}{result.stderr}"
        raise ProgramError(f"{' '.join(words)}: exit code {result.returncode}\n{messages[:4000]}")
    return result.stdout


def build(source: Path, name: str, rounding: Rounding, *options: str, program: str = "gcc") -> Path:
    """Compile a network with the harness for an instruction set; the program is beside the source."""
    output = source.with_name("-".join([name, rounding, program, *options]).replace("/", "_")[:200])
    static = ["-static"] if emulator(name) else []
    network = source.with_suffix(".o")
    # The harness is compiled for any CPU of the architecture: only the network is under test.
    command = [*compiler(name, program), "-O2", *options]
    run(*command, *STRICT, macro(rounding), "-c", source, "-o", network)
    harness = [compiler(name, program)[0], *_target(name, program), "-D_DEFAULT_SOURCE", *options]
    run(*harness, f"-I{source.parent}", *static, HARNESS, network, "-lm", "-o", output)
    return output


def _target(name: str, program: str) -> list[str]:
    return [word for word in compiler(name, program) if word.startswith("--target")]


def predict(program: Path, name: str, images: NDArray[np.uint8], *, tool: tuple[str, ...] = ()) -> NDArray[np.float32]:
    """The probabilities [N, classes] that a program computes; `tool` runs it, as valgrind does."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "images", Path(folder) / "probabilities"
        images.tofile(source)
        run(*tool, *emulator(name), program, source, len(images), result)
        return np.fromfile(result, np.float32).reshape(len(images), -1)


def predict_generated(source: Path, name: str, rounding: Rounding, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities [N, classes] that generated code computes, compiled for an instruction set."""
    return predict(build(source, name, rounding), name, images)


def predict_tflite(content: bytes, kernels: Kernels, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities [N, classes] that LiteRT computes: with XNNPACK, or with TFLite's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {"xnnpack": OpResolverType.AUTO, "reference": OpResolverType.BUILTIN_REF}[kernels]
    with suppress_output():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    session, rows = TfliteSession(interpreter), []
    for image in images:
        session.load(image[None])
        session.run()
        rows.append(session.read()[0].copy())
    return np.array(rows)


def differing_rows(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[int]:
    """The indices of the images whose probabilities are not bit by bit the same."""
    if first.shape != second.shape:
        raise ValueError(f"probabilities of the shapes {first.shape} and {second.shape}")
    return [int(row) for row in np.flatnonzero((first != second).any(axis=1))]
