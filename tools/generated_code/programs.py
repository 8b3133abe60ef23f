"""Programs around generated C, and the commands that build and run them."""

import os
import subprocess
from pathlib import Path

from generated_code.processors import Processor

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
HARNESS, COUNT_LOOP = ROOT / "tests" / "c" / "harness.c", FOLDER / "count_loop.c"
BARE_METAL = FOLDER / "bare_metal.c"
EXAMPLE = ROOT / "examples" / "cortex-m"  # the start code of programs without an operating system
START_CODE = "startup.c", "semihosting.c", "memory.c"
FREESTANDING = "-ffreestanding", "-ffunction-sections", "-fdata-sections"
# Nothing that varies reaches the program, so that its instruction counts are reproducible.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C"}


def build(source: Path, processor: Processor, folder: Path, main: Path, options: tuple[str, ...] = ("-O2",)) -> Path:
    """Compile generated C, whose header is beside it, and link it with a program in the file `main`, in `folder`.

    The network is compiled by itself, as a user does, so nothing of it is inlined into the program.
    """
    compiler = processor.compiler, *processor.flags, *options, f"-I{source.parent.resolve()}"
    network, program = folder / "network.o", folder / main.stem
    freestanding = FREESTANDING if processor.board else ()
    run(*compiler, "-std=c99", *freestanding, "-c", source, "-o", network)
    link: tuple[object, ...] = ("-D_GNU_SOURCE", main, network, "-static")
    if processor.board:
        # GCC would otherwise turn the loops of memcpy and memset into calls of themselves.
        compile = *freestanding, "-fno-tree-loop-distribute-patterns", f"-I{EXAMPLE}"
        sources = main, *(EXAMPLE / name for name in START_CODE), network
        link = *compile, *sources, "-nostdlib", "-Wl,--gc-sections", f"-L{EXAMPLE}", f"-T{processor.board}.ld", "-lgcc"
    run(*compiler, *link, "-o", program)
    return program


def run(*command: object, folder: Path | None = None) -> str:
    """Run a command and return its output; exits with its messages if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, env=ENVIRONMENT, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        message = (result.stderr + result.stdout).strip() or f"exit code {result.returncode}"
        raise SystemExit(f"{' '.join(words[:6])} …: {message}")
    return result.stdout
